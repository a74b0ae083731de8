// Edits as seen from the browser: the outbox, what may be connected, and the drawing of an edit before
// the server has confirmed it. The server decides; what it refuses is taken back when its answer arrives.

class Outbox {
  constructor(send) {
    this.sid = `s${Math.random().toString(36).slice(2, 12)}`;
    this.seq = 0;
    this.ops = [];
    this.send = send;
    this.versions = new Map(); // what the server may take as known: version -> data
    this.have = 0;
  }

  push(op) {
    this.seq += 1;
    this.ops.push({ seq: this.seq, ...op });
    this.flush();
  }

  flush() {
    this.send({ sid: this.sid, ops: this.ops, have: this.have });
    clearTimeout(this.again);
    this.again = setTimeout(() => { if (this.ops.length) this.flush(); }, 3000);
  }

  // The whole data where only changes since a known version have come; null, and asked for, where it is not known.
  whole(data) {
    if (data.version === undefined) return data;
    const base = data.base === undefined ? null : this.versions.get(data.base);
    if (base === undefined) { this.have = 0; this.flush(); return null; }
    if (!base) this.versions.clear();
    for (const old of this.versions.keys()) if (old < data.base) this.versions.delete(old);
    const all = base ? merged(base, data) : data;
    this.versions.set(data.version, all);
    this.have = data.version;
    return all;
  }

  acknowledge(acks) {
    const done = (acks && acks[this.sid]) || 0;
    this.ops = this.ops.filter((op) => op.seq > done);
    return this.ops.length === 0;
  }
}

// Changes put into the data that they were made from: see `delta` in views/canvas_feed.py.
function merged(base, changes) {
  const all = { ...base, ...changes };
  const names = { nodes: (node) => node.id, edges: (edge) => `${edge.start}>${edge.end}` };
  for (const [key, name] of Object.entries(names)) {
    const found = new Map(base[key].map((item) => [name(item), item]));
    for (const gone of changes.gone[key]) found.delete(gone);
    for (const item of changes[key]) found.set(name(item), item);
    all[key] = key === 'nodes' && changes.order ? changes.order.map((id) => found.get(id)) : [...found.values()];
  }
  return all;
}

// What the server leaves out because it follows from the rest: see `slim` in views/canvas.py.
const completed = new WeakMap();
function fullNode(node) {
  if (!completed.has(node)) completed.set(node, completedNode(node));
  return { ...completed.get(node) };
}

function completedNode(node) {
  const entry = CATALOGUE.find((item) => item.type === node.type);
  const port = (given) => ({ types: [], ...(entry && entry.inputs.find((item) => item.name === given.name)), ...given });
  return { label: node.title || node.id, w: 140, hue: entry ? entry.hue : '#B00020', ...node, inputs: node.inputs.map(port) };
}

function fullEdge(edge) {
  return { id: `${edge.start}>${edge.end}`, from: edge.start.split('.')[0], to: edge.end.split('.')[0], ...edge };
}

function ancestors(edges, id) {
  const found = new Set([id]), queue = [id];
  while (queue.length) {
    const at = queue.pop();
    for (const edge of edges.values()) {
      if (edge.to === at && !found.has(edge.from)) { found.add(edge.from); queue.push(edge.from); }
    }
  }
  return found;
}

const BRIDGES = { 'sequence>vector': 'Insert pool between them.', 'tokens>sequence': 'Insert embeddings between them.', 'vector>logits': 'Insert classifier between them.', 'tokens>vector': 'Insert embeddings and pool between them.' };

// Why start ("node.port", an output) cannot feed end ("node.port", an input), or null.
// `above` holds the nodes above the start; `without` is an edge that is being moved away.
function refusal(nodes, edges, start, end, above, without = null) {
  const [from, outName] = start.split('.'), [to, inName] = end.split('.');
  const out = nodes.get(from).outputs[portIndex(nodes.get(from), 'out', outName)];
  const port = nodes.get(to).inputs[portIndex(nodes.get(to), 'in', inName)];
  if (from === to || above.has(to)) return `${to} already leads to ${from}: this would close a cycle. Values flow one way.`;
  if (out.type && port.types.length && !port.types.includes(out.type)) {
    const bridge = port.types.map((type) => BRIDGES[`${out.type}>${type}`]).find(Boolean) || '';
    return `${start} carries ${out.text || out.type}; ${end} takes ${port.types.join(' or ')}. ${bridge}`.trim();
  }
  for (const edge of edges.values()) {
    if (edge.end !== end || edge.id === without) continue;
    if (!port.many) return `${end} is already fed by ${edge.start}; it takes one value. Join both with add, concat or merge.`;
    if (edge.start === start) return `${start} already feeds ${end}.`;
  }
  return null;
}

// Marks of all ports while a wire hangs from `fixed`: "node.in.port" -> null (legal) or the reason.
function reasons(nodes, edges, fixed, side, without) {
  const found = new Map();
  const kept = new Map([...edges].filter(([id]) => id !== without));
  const above = side === 'out' ? ancestors(kept, fixed.split('.')[0]) : null;
  for (const node of nodes.values()) {
    if (node.pending) continue;
    const ports = side === 'out' ? node.inputs : node.outputs, other = side === 'out' ? 'in' : 'out';
    const mine = side === 'out' ? above : ancestors(kept, node.id);
    for (const port of ports) {
      const name = `${node.id}.${port.name}`;
      const reason = side === 'out' ? refusal(nodes, kept, fixed, name, mine) : refusal(nodes, kept, name, fixed, mine);
      found.set(`${node.id}.${other}.${port.name}`, reason);
    }
  }
  return found;
}

function wireOf(nodes, start, end, extra = {}) {
  const [from, name] = start.split('.'), [to] = end.split('.');
  const node = nodes.get(from), port = node && node.outputs[portIndex(node, 'out', name)];
  return { id: `${start}>${end}`, start, end, from, to, type: port ? port.type : undefined, pending: true, ...extra };
}

// Draws an edit at once on the local copy. What is not listed here waits for the server.
const DRAW = {
  connect: (c, op) => { const wire = wireOf(c.nodes, op.start, op.end); c.edges.set(wire.id, wire); },
  disconnect: (c, op) => c.edges.delete(`${op.start}>${op.end}`),
  reconnect: (c, op) => { c.edges.delete(`${op.old_start}>${op.old_end}`); DRAW.connect(c, op); },
  delete: (c, op) => {
    for (const id of op.edges) c.edges.delete(id);
    for (const id of op.nodes) c.nodes.delete(id);
    for (const edge of [...c.edges.values()]) if (op.nodes.includes(edge.from) || op.nodes.includes(edge.to)) c.edges.delete(edge.id);
    c.selectedEdges = new Set();
  },
  add: (c, op) => {
    const entry = CATALOGUE.find((item) => item.type === op.type), id = `new_${c.outbox.seq}`;
    const rows = Math.max(1, entry.inputs.length, entry.outputs.length);
    c.nodes.set(id, {
      id, label: entry.title, note: entry.title, type: op.type, kind: entry.kind, hue: entry.hue, x: op.x, y: op.y,
      w: 140, h: 54 + ROW * rows, inputs: entry.inputs, outputs: entry.outputs, pending: true,
    });
  },
  move: (c, op) => { for (const [id, [x, y]] of Object.entries(op.positions)) Object.assign(c.nodes.get(id) || {}, { x, y }); },
  rename: (c, op) => { const node = c.nodes.get(op.id); if (node) node.label = op.name; },
};
