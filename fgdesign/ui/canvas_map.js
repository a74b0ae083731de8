// The map: the whole graph small in a corner, with what is in view as a frame. A press or a drag goes there.

const MAP_FROM = 40; // nodes from which on the map is open by itself

function toggleMap(c) {
  c.mapOpen = !mapIsOpen(c);
  drawMap(c);
}

function mapIsOpen(c) { return c.mapOpen === undefined ? c.nodes.size >= MAP_FROM : c.mapOpen; }

function drawMap(c) {
  if (!c.map) c.map = buildMap(c);
  c.map.hidden = !mapIsOpen(c) || c.nodes.size === 0;
  if (c.map.hidden) return;
  const ratio = globalThis.devicePixelRatio || 1, w = c.map.clientWidth, h = c.map.clientHeight, box = c.box();
  if (c.map.width !== w * ratio) { c.map.width = w * ratio; c.map.height = h * ratio; }
  const scale = Math.min(w / (box.r - box.l), h / (box.b - box.t)), ctx = c.map.getContext('2d');
  c.mapView = { scale, l: (box.l + box.r) / 2 - w / 2 / scale, t: (box.t + box.b) / 2 - h / 2 / scale };
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, w, h);
  const x = (value) => (value - c.mapView.l) * scale, y = (value) => (value - c.mapView.t) * scale;
  for (const node of c.nodes.values()) {
    ctx.fillStyle = node.hue;
    ctx.globalAlpha = node.state && node.state !== 'called' ? 0.3 : 0.85;
    ctx.fillRect(x(node.x - node.w / 2), y(node.y - node.h / 2), Math.max(2, node.w * scale), Math.max(2, node.h * scale));
  }
  const a = c.net.DOMtoCanvas({ x: 0, y: 0 }), b = c.net.DOMtoCanvas({ x: c.stage.clientWidth, y: c.stage.clientHeight });
  ctx.globalAlpha = 1;
  ctx.strokeStyle = c.theme.accent;
  ctx.lineWidth = 1.5;
  ctx.strokeRect(x(a.x), y(a.y), (b.x - a.x) * scale, (b.y - a.y) * scale);
}

function buildMap(c) {
  const map = c.area.appendChild(make('canvas', 'fg-map', { 'aria-label': 'Map of the graph', role: 'img' }));
  const go = (event) => {
    const box = map.getBoundingClientRect(), { scale, l, t } = c.mapView;
    c.net.moveTo({ position: { x: l + (event.clientX - box.left) / scale, y: t + (event.clientY - box.top) / scale } });
  };
  map.addEventListener('pointerdown', (event) => { map.setPointerCapture(event.pointerId); go(event); event.stopPropagation(); });
  map.addEventListener('pointermove', (event) => { if (event.buttons) go(event); });
  return map;
}
