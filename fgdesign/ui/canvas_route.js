// Geometry of ports and wires: where ports sit, and ways for wires that do not cross cards.
// Knows nothing of vis-network or of how things are painted.

const HEAD = 42, ROW = 16, STUB = 15, CLEAR = 14;

function portPoint(node, side, index) {
  const x = node.x + (side === 'in' ? -node.w / 2 : node.w / 2);
  return { x, y: node.y - node.h / 2 + HEAD + ROW * (index + 0.5) };
}

function portIndex(node, side, name) {
  return (side === 'in' ? node.inputs : node.outputs).findIndex((port) => port.name === name);
}

function endPoint(nodes, end, side) {
  const [id, name] = end.split('.');
  const node = nodes.get(id);
  const index = node ? portIndex(node, side, name) : -1;
  return index < 0 ? null : portPoint(node, side, index);
}

function rectOf(node) {
  return { id: node.id, l: node.x - node.w / 2, r: node.x + node.w / 2, t: node.y - node.h / 2, b: node.y + node.h / 2 };
}

function bezier(p, q) {
  const reach = Math.max(28, Math.min(120, Math.abs(q.x - p.x) * 0.5));
  const points = [];
  for (let i = 0; i <= 18; i += 1) {
    const t = i / 18, u = 1 - t;
    const a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t, d = t * t * t;
    points.push({
      x: a * p.x + b * (p.x + reach) + c * (q.x - reach) + d * q.x,
      y: a * p.y + b * p.y + c * q.y + d * q.y,
    });
  }
  return { points, reach };
}

// Cards near a line: only these are worth a closer look.
function around(points, rects, margin) {
  let l = Infinity, r = -Infinity, t = Infinity, b = -Infinity;
  for (const { x, y } of points) { l = Math.min(l, x); r = Math.max(r, x); t = Math.min(t, y); b = Math.max(b, y); }
  return rects.filter((box) => box.r > l - margin && box.l < r + margin && box.b > t - margin && box.t < b + margin);
}

// Whether a card is within the frame round a way, which is worked out once.
function meets(way, rects) {
  if (!way.frame) {
    const xs = way.points.map(({ x }) => x), ys = way.points.map(({ y }) => y);
    way.frame = { l: Math.min(...xs) - 2, r: Math.max(...xs) + 2, t: Math.min(...ys) - 2, b: Math.max(...ys) + 2 };
  }
  const { l, r, t, b } = way.frame;
  return rects.some((box) => box.r > l && box.l < r && box.b > t && box.t < b);
}

function hits(points, all, own, margin) {
  const rects = around(points, all, margin);
  if (!rects.length) return false;
  for (let i = 1; i < points.length; i += 1) {
    const p = points[i - 1], q = points[i];
    const l = Math.min(p.x, q.x), r = Math.max(p.x, q.x), t = Math.min(p.y, q.y), b = Math.max(p.y, q.y);
    for (const box of rects) {
      const m = own.includes(box.id) ? -1 : margin;
      if (r > box.l - m && l < box.r + m && b > box.t - m && t < box.b + m) return true;
    }
  }
  return false;
}

function lengthOf(points) {
  let sum = 0;
  for (let i = 1; i < points.length; i += 1) {
    sum += Math.abs(points[i].x - points[i - 1].x) + Math.abs(points[i].y - points[i - 1].y);
  }
  return sum;
}

// One wire from p to q. `lane` sets wires of different sources a little apart.
function route(p, q, own, rects, lane) {
  const direct = bezier(p, q);
  if (q.x > p.x + 12 && !hits(direct.points, rects, own, 3)) return { points: direct.points, curve: true, p, q, reach: direct.reach };
  const out = p.x + STUB + lane * 4, into = q.x - STUB - ((lane * 3) % 4) * 4;
  const ways = [];
  const consider = (points) => {
    if (!hits(points, rects, own, 2)) ways.push({ points, cost: lengthOf(points) + points.length * 12 });
  };
  if (q.x > p.x + 2 * STUB) {
    consider([p, { x: out, y: p.y }, { x: out, y: q.y }, q]);
    consider([p, { x: into, y: p.y }, { x: into, y: q.y }, q]);
  }
  const lo = Math.min(out, into), hi = Math.max(out, into), lanes = new Set();
  for (const box of rects) {
    if (box.r > lo - 4 && box.l < hi + 4) {
      lanes.add(Math.round(box.t - CLEAR + (lane % 3) * 4));
      lanes.add(Math.round(box.b + CLEAR - (lane % 3) * 4));
    }
  }
  const over = q.x > p.x ? 50 : 0; // wires that run ahead pass above the cards, wires that return pass below
  const detour = (y) => Math.abs(y - p.y) + Math.abs(y - q.y) - (y < Math.min(p.y, q.y) ? over : 0);
  const sorted = [...lanes].sort((a, b) => detour(a) - detour(b));
  for (const y of sorted.slice(0, 24)) {
    const found = ways.length;
    consider([p, { x: out, y: p.y }, { x: out, y }, { x: into, y }, { x: into, y: q.y }, q]);
    if (ways.length > found) { ways[found].cost -= y < Math.min(p.y, q.y) ? over : 0; if (found > 2) break; }
  }
  if (!ways.length) return { points: direct.points, curve: true, p, q, reach: direct.reach };
  ways.sort((a, b) => a.cost - b.cost);
  return { points: ways[0].points, curve: false, p, q };
}

function trace(ctx, way) {
  const { points, p, q } = way;
  ctx.beginPath();
  ctx.moveTo(p.x, p.y);
  if (way.curve) {
    ctx.bezierCurveTo(p.x + way.reach, p.y, q.x - way.reach, q.y, q.x, q.y);
    return;
  }
  for (let i = 1; i < points.length - 1; i += 1) {
    const before = points[i - 1], at = points[i], after = points[i + 1];
    const room = Math.min(9, Math.hypot(at.x - before.x, at.y - before.y) / 2, Math.hypot(after.x - at.x, after.y - at.y) / 2);
    ctx.arcTo(at.x, at.y, after.x, after.y, room);
  }
  ctx.lineTo(q.x, q.y);
}

function distanceTo(way, x, y) {
  let best = Infinity;
  for (let i = 1; i < way.points.length; i += 1) {
    const a = way.points[i - 1], b = way.points[i];
    const dx = b.x - a.x, dy = b.y - a.y, long = dx * dx + dy * dy || 1;
    const t = Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / long));
    best = Math.min(best, Math.hypot(a.x + t * dx - x, a.y + t * dy - y));
  }
  return best;
}

// A place on the wire for its label: the middle of its longest level stretch.
function labelPoint(way) {
  if (way.curve) return way.points[9];
  let best = { x: way.q.x - 14, y: way.q.y }, longest = -1;
  for (let i = 1; i < way.points.length; i += 1) {
    const a = way.points[i - 1], b = way.points[i], long = Math.abs(b.x - a.x);
    if (long > longest) { longest = long; best = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }; }
  }
  return best;
}
