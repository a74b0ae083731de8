// The mouse and the pen: wires from port to port, box selection, tips, double click, drops from the palette.
// Events that are ours are stopped before vis-network sees them.

function bindPointer(c) {
  c.root.addEventListener('pointerdown', () => settleForms(c), true);
  c.stage.addEventListener('pointerdown', (event) => pressed(c, event), true);
  c.stage.addEventListener('pointermove', (event) => hovered(c, event));
  c.stage.addEventListener('pointerleave', () => c.hideTip());
  c.stage.addEventListener('dblclick', (event) => doubleClicked(c, event), true);
  c.stage.addEventListener('contextmenu', (event) => event.preventDefault());
  c.stage.addEventListener('wheel', (event) => { // a picture in a page scrolls with the page
    if (!c.editable && !event.ctrlKey && !c.root.matches(':focus-within')) event.stopImmediatePropagation();
  }, true);
}

// A value still being typed into a form of the page is sent before an edit is: leaving the field sends it.
function settleForms(c) {
  const field = document.activeElement, host = c.root.getRootNode().host;
  if (field && field !== host && field !== document.body && !c.root.contains(field)) field.blur();
}

function pressed(c, event) {
  c.root.focus({ preventScroll: true });
  c.hideTip();
  closePopups(c);
  if (event.button !== 0 || !c.editable) return;
  const at = c.toCanvas(event), port = c.portAt(at.x, at.y);
  if (event.shiftKey && (port || !c.nodeAt(at.x, at.y))) startBand(c, event, at); // Shift never pulls at a wire
  else if (port) startWire(c, event, port, at);
  else return;
  event.stopPropagation();
  event.preventDefault();
}

// Moves and the release are read from the window, so that a drag may leave the canvas.
function drag(c, onMove, onEnd) {
  const move = (event) => { c.pointer = c.toCanvas(event); onMove(event, c.pointer); c.net.redraw(); };
  const end = (event) => {
    removeEventListener('pointermove', move, true);
    removeEventListener('pointerup', end, true);
    removeEventListener('pointercancel', end, true);
    onEnd(event, c.toCanvas(event), event.type === 'pointercancel');
  };
  addEventListener('pointermove', move, true);
  addEventListener('pointerup', end, true);
  addEventListener('pointercancel', end, true);
}

// A fed input that takes one value gives up its wire: it is dragged away from there.
function startWire(c, event, port, at) {
  const feeding = [...c.edges.values()].filter((edge) => edge.end === port.name);
  const taken = port.side === 'in' ? feeding.find((edge) => !port.port.many || c.selectedEdges.has(edge.id)) : null;
  const fixedName = taken ? taken.start : port.name, side = taken ? 'out' : port.side;
  const fixed = taken ? endPoint(c.nodes, taken.start, 'out') : port.at;
  const marks = reasons(c.nodes, c.edges, fixedName, side, taken ? taken.id : null);
  const lit = new Map([...marks].map(([name, reason]) => [name, reason === null ? 'legal' : 'illegal']));
  const [id, name] = fixedName.split('.');
  lit.set(`${id}.${side}.${name}`, 'from');
  const shown = c.nodes.get(id)[side === 'out' ? 'outputs' : 'inputs'].find((item) => item.name === name);
  c.wire = { fixedName, side, fixed, at, marks: lit, reasons: marks, fixes: new Map(), moved: taken ? taken.id : null, from: at, type: shown.type, over: null };
  drag(c, (move, now) => { Object.assign(c.wire, { at: now, last: move }); aim(c, move, now); }, (up, now, cancelled) => endWire(c, up, now, cancelled));
}

// The port under the pointer, or the first legal port of the card under it.
function aim(c, event, at) {
  const other = c.wire.side === 'out' ? 'in' : 'out', hit = c.portAt(at.x, at.y), node = hit ? hit.node : c.nodeAt(at.x, at.y);
  const legal = (name) => c.wire.reasons.get(name) === null;
  let over = hit && hit.side === other ? hit : null;
  if (!over && node) {
    const ports = other === 'in' ? node.inputs : node.outputs;
    const index = ports.findIndex((port) => legal(`${node.id}.${other}.${port.name}`));
    const best = index >= 0 ? index : ports.length ? 0 : -1;
    if (best >= 0) over = { node, side: other, port: ports[best], name: `${node.id}.${ports[best].name}`, at: portPoint(node, other, best) };
  }
  if (over && over.name === c.wire.fixedName) over = null;
  const reason = over ? c.wire.reasons.get(`${over.node.id}.${over.side}.${over.port.name}`) : null;
  if (over && reason === null && (!c.wire.over || c.wire.over.name !== over.name)) ask(c, over.name);
  c.wire.over = over && reason === null ? over : null;
  c.wire.reason = over ? reason : null;
  c.wire.wrong = c.wire.reason ? over.name : null;
  if (c.wire.reason) c.tip(event, c.wire.reason, 'bad'); else c.hideTip();
}

// What only the server knows, such as widths and rows, is asked while the wire hangs over a port.
function ask(c, name) {
  const { fixedName, side, moved } = c.wire, [start, end] = side === 'out' ? [fixedName, name] : [name, fixedName];
  const old = moved ? c.edges.get(moved) : null;
  if (old && old.start === start && old.end === end) return;
  c.outbox.push({ op: 'try', start, end, ...(old && { old_start: old.start, old_end: old.end }) });
}

// The answer to `ask`: a port that does not fit goes dark, with the reason where the pointer is still on it.
function hear(c, tried) {
  if (!c.wire || !tried || !tried.reason) return;
  const { fixedName, side } = c.wire, [mine, name] = side === 'out' ? [tried.start, tried.end] : [tried.end, tried.start];
  const [id, port] = name.split('.'), key = `${id}.${side === 'out' ? 'in' : 'out'}.${port}`;
  if (mine !== fixedName || c.wire.reasons.get(key) !== null) return;
  c.wire.reasons.set(key, tried.reason);
  c.wire.marks.set(key, 'illegal');
  c.wire.fixes.set(name, tried.fix);
  if (c.wire.last) aim(c, c.wire.last, c.wire.at);
  c.draw();
}

function endWire(c, event, at, cancelled) {
  const wire = c.wire;
  c.wire = null;
  c.hideTip();
  if (wire.dropped || cancelled) { c.net.redraw(); return; }
  const travelled = Math.hypot(at.x - wire.from.x, at.y - wire.from.y) * c.net.getScale() > 6;
  if (wire.over) join(c, wire, wire.over.name);
  else if (wire.reason && travelled) refuse(c, wire);
  else if (wire.moved && travelled) c.edit({ op: 'disconnect', ...ends(c, wire.moved) });
  else if (travelled && !c.nodeAt(at.x, at.y)) openSearch(c, at, event, wire);
  c.net.redraw();
  if (c.latest !== c.data && c.outbox.acknowledge(c.latest.acks)) c.adopt();
}

// Says why a drop was refused; where nodes in between would make it fit, offers to insert them.
function refuse(c, wire) {
  const [start, end] = wire.side === 'out' ? [wire.fixedName, wire.wrong] : [wire.wrong, wire.fixedName];
  const found = wire.reason.match(/Insert .+(?= between them)/), label = wire.fixes.get(wire.wrong) || (found && found[0]);
  const act = () => c.edit({ op: 'bridge', start, end });
  c.toast(wire.reason, 'bad', label && !wire.moved ? { label, act } : null);
}

function ends(c, id) {
  const edge = c.edges.get(id);
  return { start: edge.start, end: edge.end };
}

function join(c, wire, name) {
  const [start, end] = wire.side === 'out' ? [wire.fixedName, name] : [name, wire.fixedName];
  if (!wire.moved) { c.edit({ op: 'connect', start, end }); return; }
  const old = ends(c, wire.moved);
  if (old.start !== start || old.end !== end) c.edit({ op: 'reconnect', old_start: old.start, old_end: old.end, start, end });
}

function startBand(c, event, from) {
  drag(c, (move, at) => {
    c.band = { x: Math.min(from.x, at.x), y: Math.min(from.y, at.y), w: Math.abs(at.x - from.x), h: Math.abs(at.y - from.y) };
  }, () => {
    const band = c.band;
    c.band = null;
    if (!band) return;
    const inside = (n) => n.x + n.w / 2 > band.x && n.x - n.w / 2 < band.x + band.w && n.y + n.h / 2 > band.y && n.y - n.h / 2 < band.y + band.h;
    c.select([...c.nodes.values()].filter(inside).map((node) => node.id));
  });
}

function hovered(c, event) {
  c.pointer = c.toCanvas(event);
  if (c.wire || c.band || c.dragging || event.buttons) return;
  const { x, y } = c.pointer, port = c.portAt(x, y), node = c.nodeAt(x, y);
  const hover = node ? node.id : null, wire = !node && !port ? c.wireAt(x, y) : null;
  if (hover !== c.hover || wire !== c.hoverWire) { c.hover = hover; c.hoverWire = wire; c.net.redraw(); }
  c.stage.style.cursor = port && c.editable ? 'crosshair' : node ? (c.editable ? 'move' : 'pointer') : wire ? 'pointer' : '';
  clearTimeout(c.tipSoon);
  c.hideTip();
  const text = port ? portTip(port) : node ? nodeTip(node) : wire ? wireTip(c.edges.get(wire)) : null;
  if (text) c.tipSoon = setTimeout(() => c.tip(event, text), 380);
}

function portTip({ port, side, name }) {
  const takes = (port.types || []).join(' or ');
  if (side === 'out') return `${name}: ${port.text || 'not known yet'}`;
  const rule = port.many ? ', any number of wires' : port.optional ? ', may stay empty' : '';
  return `${name} takes ${takes}${rule}${port.text ? `\nnow: ${port.text}` : ''}`;
}

function nodeTip(node) {
  const entry = CATALOGUE.find((item) => item.type === node.type);
  const lines = [`${node.label} · ${node.note}`];
  if (entry) lines.push(entry.help);
  if (node.cost) lines.push(node.share ? `${node.cost} (${(node.share * 100).toPrecision(2)} % of the graph's compute)` : node.cost);
  if (node.tuning) lines.push(TUNING_WORDS[node.tuning] || node.tuning);
  if (node.change) lines.push(node.details ? `${node.change}: ${node.details}` : node.change);
  if (node.static) lines.push('static: computed once for each text, then cached');
  if (node.usage !== undefined) lines.push(node.about || `called by ${node.tag} of the rows`);
  if (node.state) lines.push(node.ms != null ? `${node.state}, ${Number(node.ms).toPrecision(3)} ms` : node.state);
  for (const problem of node.problems || []) lines.push(`${problem.severity}: ${problem.text}`);
  return lines.join('\n');
}

function wireTip(edge) {
  if (edge.usage !== undefined) return `${edge.start} to ${edge.end}: ${(edge.usage * 100).toPrecision(3)} % of the rows`;
  const gate = edge.gate != null ? `, gate ${Number(edge.gate).toPrecision(2)}` : '';
  return `${edge.start} to ${edge.end}${edge.type ? `: ${edge.type}` : ''}${edge.state ? ` (${edge.state}${gate})` : ''}${edge.change ? `: ${edge.change}` : ''}`;
}

function doubleClicked(c, event) {
  if (!c.editable) return;
  event.stopPropagation();
  const at = c.toCanvas(event), node = c.nodeAt(at.x, at.y);
  if (node) openRename(c, node.id); else openSearch(c, at, event);
}
