// The picture: one vis.Network for pan, zoom, hit tests and drags; cards and wires painted by canvas_paint.
// Keeps zoom and place over updates. Knows nothing of Streamlit.

const SNAP = 12, BELOW = 76; // BELOW: room that a canvas as high as the window leaves under it

class Canvas {
  // host: an element to fill. send(batch): the way to the server. onSelect(ids), onStep(call): for read-only canvases.
  constructor(host, { send = () => {}, onSelect = () => {}, onStep = () => {} } = {}) {
    this.host = host;
    this.nodes = new Map(); this.edges = new Map(); this.ways = new Map();
    this.selectedEdges = new Set(); this.selectedNodes = [];
    this.onSelect = onSelect; this.onStep = onStep;
    this.outbox = new Outbox(send);
    this.shown = new Set(); this.sizes = new Map();
    this.snap = true;
    this.pointer = { x: 0, y: 0 };
    this.root = make('div', 'fg-root', { tabindex: '0', role: 'application', 'aria-label': 'Function graph canvas. Press ? for the keys.' });
    this.body = this.root.appendChild(make('div', 'fg-body'));
    this.stage = make('div', 'fg-stage');
    this.area = make('div', 'fg-area');
    this.area.append(this.stage);
    this.body.append(this.area);
    this.root.canvas = this;
    host.replaceChildren(this.root);
  }

  start(data) {
    this.editable = !!data.editable;
    this.height = data.height;
    this.resize();
    this.theme = readTheme(this.host);
    this.visNodes = new vis.DataSet();
    this.net = new vis.Network(this.stage, { nodes: this.visNodes, edges: new vis.DataSet() }, {
      physics: false, autoResize: false, layout: { improvedLayout: false },
      interaction: {
        dragNodes: this.editable, dragView: true, zoomView: true, multiselect: true, hover: false, keyboard: false,
        selectConnectedEdges: false, tooltipDelay: 1e9, zoomSpeed: 0.7,
      },
      nodes: { shape: 'custom', ctxRenderer: (args) => this.card(args), chosen: false }, manipulation: { enabled: false },
    });
    this.net.on('beforeDrawing', (ctx) => this.paintBelow(ctx));
    this.net.on('afterDrawing', (ctx) => this.paintAbove(ctx));
    this.net.on('dragStart', (event) => { this.dragging = event.nodes.length > 0 && this.editable; if (this.dragging) this.hideTip(); });
    this.net.on('dragging', (event) => this.follow(event.nodes));
    this.net.on('dragEnd', (event) => this.dropped(event));
    this.net.on('click', (event) => this.clicked(event));
    this.net.on('zoom', () => this.hideTip());
    buildChrome(this);
    bindPointer(this);
    this.ended = new AbortController();
    bindKeys(this);
    for (const kind of ['pointerdown', 'wheel', 'keydown']) this.root.addEventListener(kind, () => { this.touched = true; }, true);
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.host);
    this.watch.observe(this.stage);
    this.onWindow = () => this.resize();
    addEventListener('resize', this.onWindow);
  }

  destroy() {
    this.ended.abort();
    removeEventListener('resize', this.onWindow);
    clearTimeout(this.outbox.again);
    stopPlaying(this);
    if (this.watch) this.watch.disconnect();
    if (this.net) { this.net.destroy(); this.net = { redraw() {}, body: { nodes: {}, emitter: { emit() {} } } }; }
  }

  resize() {
    let height = this.height;
    if (height === 'window') {
      const top = this.root.getBoundingClientRect().top + (globalThis.scrollY || 0);
      height = Math.max(440, innerHeight - Math.max(0, Math.min(top, innerHeight * 0.4)) - BELOW);
    }
    if (height) this.root.style.height = `${height}px`;
    this.root.classList.toggle('fg-narrow', this.host.clientWidth > 0 && this.host.clientWidth < 760);
  }

  // vis-network would zoom when its place changes; here the picture stays where it is.
  resized() {
    this.resize();
    const { clientWidth: w, clientHeight: h } = this.stage, key = `${w}x${h}`;
    if (w < 20 || h < 20 || key === this.sized) return;
    const scale = this.net.getScale(), corner = this.net.DOMtoCanvas({ x: 0, y: 0 });
    this.sized = key;
    this.net.setSize('100%', '100%');
    this.net.moveTo({ position: { x: corner.x + w / 2 / scale, y: corner.y + h / 2 / scale }, scale });
    if (!this.fitted || !this.touched) this.fit(); // nobody has chosen a place yet
    this.net.redraw();
  }

  // New truth from the server. While own edits are on their way the picture is kept.
  update(given) {
    const data = this.outbox.whole(given);
    if (!data) return;
    if (!this.net) this.start(data);
    this.height = data.height;
    this.resize();
    this.theme = readTheme(this.host);
    const settled = this.outbox.acknowledge(data.acks);
    this.tellRefusals(data.refused);
    this.latest = data;
    hear(this, data.tried);
    if (settled && !this.dragging && !this.wire) this.adopt();
    else this.draw();
  }

  // Paints with the next frame, once however often it is asked for.
  draw() { this.net.body.emitter.emit('_requestRedraw'); }

  adopt() {
    const data = this.latest, first = !this.data, other = this.data && this.data.title !== data.title;
    const added = first ? [] : data.selected.nodes.filter((id) => !this.data.nodes.some((node) => node.id === id));
    this.data = data;
    this.nodes = new Map(data.nodes.map((node) => [node.id, fullNode(node)]));
    const lit = (edge) => (edge.state === 'called' ? 1 : 0); // the lit way is painted on top
    this.edges = new Map(data.edges.map(fullEdge).sort((a, b) => lit(a) - lit(b)).map((edge) => [edge.id, edge]));
    this.selectedEdges = new Set(data.selected.edges);
    this.syncVis();
    this.net.selectNodes(data.selected.nodes.filter((id) => this.nodes.has(id)), false);
    this.selectedNodes = this.net.getSelectedNodes();
    refreshChrome(this);
    refreshReplay(this);
    if (first || other || !this.fitted || (data.fit && data.fit !== this.lastFit)) this.fit();
    else if (added.length) reveal(this, added[0]); // a node that was just added is never out of sight
    this.lastFit = data.fit;
  }

  syncVis() {
    const gone = this.visNodes.getIds().filter((id) => !this.nodes.has(id));
    if (gone.length) this.visNodes.remove(gone);
    for (const id of gone) this.sizes.delete(id);
    const changed = [];
    for (const node of this.nodes.values()) {
      const old = this.visNodes.get(node.id);
      if (!old || old.x !== node.x || old.y !== node.y) changed.push({ id: node.id, x: node.x, y: node.y, label: '' });
    }
    if (changed.length) this.visNodes.update(changed);
    this.reroute();
    this.draw();
  }

  // Finds ways for the wires; those whose ends stay and whose way stays free are kept. `only`: wires of these nodes.
  reroute(only = null) {
    const rects = [...this.nodes.values()].map(rectOf), lanes = new Map();
    const places = new Map(rects.map((r) => [r.id, `${r.l} ${r.t} ${r.r} ${r.b}`]));
    const changed = rects.filter((r) => places.get(r.id) !== (this.places && this.places.get(r.id)));
    const gone = this.places && [...this.places.keys()].some((id) => !places.has(id));
    if (!only) this.places = places;
    for (const id of this.ways.keys()) if (!this.edges.has(id)) this.ways.delete(id);
    for (const edge of this.edges.values()) {
      if (!lanes.has(edge.start)) lanes.set(edge.start, lanes.size % 4);
      if (only && !only.has(edge.from) && !only.has(edge.to)) continue;
      const p = endPoint(this.nodes, edge.start, 'out'), q = endPoint(this.nodes, edge.end, 'in');
      const old = this.ways.get(edge.id);
      const same = old && p && q && !gone && old.p.x === p.x && old.p.y === p.y && old.q.x === q.x && old.q.y === q.y;
      if (same && (!changed.length || !meets(old, changed) || !hits(old.points, changed, [edge.from, edge.to], 2))) continue;
      if (p && q) this.ways.set(edge.id, route(p, q, [edge.from, edge.to], rects, lanes.get(edge.start)));
      else this.ways.delete(edge.id);
    }
  }

  // One edit: drawn at once, sent, confirmed or taken back by the next data.
  edit(op) {
    if (!this.editable) return;
    const draw = DRAW[op.op];
    this.outbox.push(op);
    if (draw) { draw(this, op); this.syncVis(); }
  }

  select(nodes, edges = []) {
    this.net.selectNodes(nodes, false);
    this.selectedNodes = nodes;
    this.selectedEdges = new Set(edges);
    this.net.redraw();
    if (this.editable) this.outbox.push({ op: 'select', nodes, edges });
    else this.onSelect(nodes);
  }

  clicked(event) {
    const at = event.pointer.canvas, ids = this.net.getSelectedNodes();
    if (!ids.length && !event.nodes.length) {
      const wire = this.wireAt(at.x, at.y);
      this.select([], wire && this.editable ? [wire] : []);
    } else this.select(ids);
  }

  follow(ids) {
    if (!this.dragging || !ids.length) return;
    const places = this.net.getPositions(ids);
    for (const id of ids) Object.assign(this.nodes.get(id) || {}, places[id]);
    this.reroute(new Set(ids));
  }

  dropped(event) {
    if (!this.dragging) return;
    this.dragging = false;
    const positions = {};
    for (const [id, { x, y }] of Object.entries(this.net.getPositions(event.nodes))) {
      positions[id] = this.snap ? [Math.round(x / SNAP) * SNAP, Math.round(y / SNAP) * SNAP] : [x, y];
    }
    this.selectedNodes = event.nodes;
    const wire = event.nodes.length === 1 ? this.spliceTarget(event.nodes[0]) : null;
    if (wire) this.edit({ op: 'splice', id: event.nodes[0], edge: wire, positions });
    else this.edit({ op: 'move', positions });
  }

  // The wire under a dropped card that has no edges yet.
  spliceTarget(id) {
    const node = this.nodes.get(id);
    if (!node || [...this.edges.values()].some((edge) => edge.from === id || edge.to === id)) return null;
    if (!node.inputs.some((port) => port.name === 'in') || !node.outputs.some((port) => port.name === 'out')) return null;
    return this.wireAt(node.x, node.y + 8, 26);
  }

  wireAt(x, y, reach = 8) {
    let best = null, near = Math.max(reach, 6 / this.net.getScale());
    for (const [id, way] of this.ways) {
      const far = distanceTo(way, x, y);
      if (far < near) { near = far; best = id; }
    }
    return best;
  }

  nodeAt(x, y) {
    return [...this.nodes.values()].reverse().find((n) => Math.abs(x - n.x) <= n.w / 2 && Math.abs(y - n.y) <= n.h / 2) || null;
  }

  portAt(x, y) {
    const reach = Math.min(16, Math.max(11, 9 / this.net.getScale()));
    let best = null, near = reach;
    for (const node of this.nodes.values()) {
      if (node.pending || Math.abs(x - node.x) > node.w / 2 + reach || Math.abs(y - node.y) > node.h / 2 + reach) continue;
      for (const side of ['in', 'out']) {
        (side === 'in' ? node.inputs : node.outputs).forEach((port, index) => {
          const at = portPoint(node, side, index), far = Math.hypot(at.x - x, at.y - y);
          if (far < near) { near = far; best = { node, side, port, name: `${node.id}.${port.name}`, at }; }
        });
      }
    }
    return best;
  }

  toCanvas(event) {
    const box = this.stage.getBoundingClientRect();
    return this.net.DOMtoCanvas({ x: event.clientX - box.left, y: event.clientY - box.top });
  }

  box() {
    const rects = [...this.nodes.values()].map(rectOf);
    if (!rects.length) return { l: -300, r: 300, t: -150, b: 150 };
    return {
      l: Math.min(...rects.map((r) => r.l)) - 34, r: Math.max(...rects.map((r) => r.r)) + 34,
      t: Math.min(...rects.map((r) => r.t)) - 26, b: Math.max(...rects.map((r) => r.b)) + 26,
    };
  }

  fit() {
    const { clientWidth: w, clientHeight: h } = this.stage;
    if (w < 20 || h < 20 || !this.data) return;
    const box = this.box(), top = 44; // the tools lie there
    const scale = Math.min(1.15, w / (box.r - box.l), (h - top) / (box.b - box.t));
    this.net.moveTo({ position: { x: (box.l + box.r) / 2, y: (box.t + box.b) / 2 - top / 2 / scale }, scale });
    this.fitted = true;
  }

  zoom(factor) { this.net.moveTo({ scale: Math.min(3, Math.max(0.08, this.net.getScale() * factor)) }); }

  show(ids) {
    const node = this.nodes.get(ids[0]);
    if (node) this.net.moveTo({ position: { x: node.x, y: node.y }, scale: Math.max(0.8, this.net.getScale()), animation: { duration: 220 } });
  }

  card({ ctx, id, state }) {
    const known = this.nodes.get(id), node = known && nodeAtStep(this, known);
    if (!node) return { drawNode() {}, nodeDimensions: { width: 10, height: 10 } };
    const size = `${node.w}x${node.h}`;
    if (this.sizes.get(id) !== size) { // vis-network learns a card's size from one drawing and uses it from the next
      this.sizes.set(id, size);
      if (!this.resizedIds) requestAnimationFrame(() => this.learnSizes());
      (this.resizedIds ||= []).push(id);
    }
    const look = {
      scale: this.net.getScale(), selected: state.selected || this.selectedNodes.includes(id), hover: this.hover === id,
      now: isNow(this, node), ports: this.wire ? this.wire.marks : null, flat: this.nodes.size > 150,
    };
    return { drawNode: () => paintCard(ctx, node, this.theme, look), nodeDimensions: { width: node.w, height: node.h } };
  }

  learnSizes() {
    for (const id of this.resizedIds) if (this.net.body.nodes[id]) this.net.body.nodes[id].needsRefresh();
    this.resizedIds = null;
    this.net.redraw();
  }

  paintBelow(ctx) {
    const { clientWidth: w, clientHeight: h } = this.stage, scale = this.net.getScale();
    const a = this.net.DOMtoCanvas({ x: 0, y: 0 }), b = this.net.DOMtoCanvas({ x: w, y: h });
    if (this.editable && scale > 0.5) paintGrid(ctx, { l: a.x, t: a.y, r: b.x, b: b.y }, SNAP * 2, this.theme);
    for (const edge of this.edges.values()) {
      const way = this.ways.get(edge.id);
      if (!way || (this.wire && this.wire.moved === edge.id)) continue;
      paintWire(ctx, edgeAtStep(this, edge), way, this.theme, {
        selected: this.selectedEdges.has(edge.id), hover: this.hoverWire === edge.id, pending: edge.pending, faded: !!this.wire,
      });
    }
  }

  paintAbove(ctx) {
    if (this.data) drawMap(this);
    if (this.wire) {
      const { fixed, side, at, over } = this.wire;
      const ends = over ? over.at : at, way = side === 'out' ? bezier(fixed, ends) : bezier(ends, fixed);
      const shape = { points: way.points, curve: true, p: side === 'out' ? fixed : ends, q: side === 'out' ? ends : fixed, reach: way.reach };
      paintWire(ctx, { type: this.wire.type }, shape, this.theme, { pending: !over });
    }
    if (this.band) {
      const { x, y, w, h } = this.band;
      ctx.save();
      ctx.fillStyle = this.theme.accent; ctx.globalAlpha = 0.12; ctx.fillRect(x, y, w, h);
      ctx.globalAlpha = 1; ctx.strokeStyle = this.theme.accent; ctx.lineWidth = 1 / this.net.getScale(); ctx.strokeRect(x, y, w, h);
      ctx.restore();
    }
  }

  // The whole graph on a canvas of its own, twice the size of the drawing.
  picture() {
    const box = this.box(), sheet = document.createElement('canvas');
    const scale = Math.min(2, 8000 / (box.r - box.l), 8000 / (box.b - box.t));
    sheet.width = (box.r - box.l) * scale; sheet.height = (box.b - box.t) * scale;
    const ctx = sheet.getContext('2d');
    ctx.fillStyle = this.theme.page; ctx.fillRect(0, 0, sheet.width, sheet.height);
    ctx.scale(scale, scale); ctx.translate(-box.l, -box.t);
    for (const edge of this.edges.values()) if (this.ways.has(edge.id)) paintWire(ctx, edge, this.ways.get(edge.id), this.theme, {});
    for (const node of this.nodes.values()) paintCard(ctx, node, this.theme, { scale: 1 });
    return sheet;
  }
}
