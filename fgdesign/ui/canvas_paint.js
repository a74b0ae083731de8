// Paints cards and wires on a 2D context. Text goes through fillText only.
// Knows nothing of vis-network, of edits or of the server.

const ICONS = {
  input: 'M3 1h6l4 4v10H3zM9 1v4h4M5.5 8h5M5.5 11h5',
  pretrained: 'M8 1l7 3.5L8 8 1 4.5zM1 8l7 3.5L15 8M1 11.5L8 15l7-3.5',
  function: 'M11 2c-2.5-.5-3 1-3.4 4L6.5 13c-.3 1.6-1 2-2.5 1.700M4.5 6.500h7',
  combine: 'M8 2v12M2 8h12',
  shape: 'M1.5 2.500h13L10 8.500v5l-4-1.500v-3.500z',
  select: 'M8 1l7 7-7 7-7-7zM8 5.200v5.600M5.2 8h5.6',
  merge: 'M2 2c0 5 5 6 12 6M2 14c0-5 5-6 12-6M11 5l3 3-3 3',
  answer: 'M8 1.500a6.5 6.5 0 1 0 .01 0zM8 5a3 3 0 1 0 .01 0z',
  unknown: 'M8 1v9M8 13v2',
};
const MARKS = {
  frozen: 'M8 1v14M2 4.500l12 7M14 4.500l-12 7M6 2l2 1.800L10 2M6 14l2-1.8 2 1.8',
  plug: 'M5 1v4M11 1v4M3 5h10v3a5 5 0 0 1-10 0zM8 13v2.5',
  full: 'M8 1c.5 3 4.5 4.5 4.5 9A4.5 4.5 0 0 1 8 15a4.5 4.5 0 0 1-4.5-5C3.5 8 5 7 5.5 5.500c.8.7 1.2 1.5 1.2 2.500C8 6.5 8.3 4 8 1z',
};
const TUNING_WORDS = {
  frozen: 'frozen: weights stay as they are', lora: 'adapted: a LoRA update is trained',
  adapter: 'adapted: a bottleneck adapter is trained', full: 'trained: all weights of this node',
};
const TYPE_HUES = { tokens: '#7A7A7A', sequence: '#0072B2', vector: '#009E73', logits: '#D55E00' };
const paths = new Map();

function pathOf(text) {
  if (!paths.has(text)) paths.set(text, new Path2D(text));
  return paths.get(text);
}

function rgb(colour) {
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

const mixed = new Map();
function mix(a, b, share) {
  const key = `${a}|${b}|${share}`;
  if (!mixed.has(key)) {
    const [x, y] = [rgb(a), rgb(b)];
    mixed.set(key, `rgb(${x.map((v, i) => Math.round(v + (y[i] - v) * share)).join(',')})`);
  }
  return mixed.get(key);
}

function readTheme(element) {
  const css = getComputedStyle(element);
  const value = (name, otherwise) => css.getPropertyValue(name).trim() || otherwise;
  const page = value('--st-background-color', '#ffffff'), text = value('--st-text-color', '#1f2933');
  const [r, g, b] = rgb(page);
  const dark = 0.3 * r + 0.6 * g + 0.1 * b < 128;
  return {
    dark, page, text, soft: mix(text, page, 0.4), line: mix(text, page, 0.78), grid: mix(text, page, dark ? 0.88 : 0.92),
    card: dark ? mix(page, '#ffffff', 0.07) : '#ffffff', accent: value('--st-primary-color', '#0072B2'),
    font: value('--st-font', 'system-ui, sans-serif'), bad: dark ? '#FF8A65' : '#B3261E', warn: dark ? '#F0C24B' : '#8A6100',
  };
}

function hueIn(theme, hue) { return theme.dark ? mix(hue, '#ffffff', 0.18) : hue; }

function clip(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  const letters = [...text.slice(0, 80)];
  while (letters.length && ctx.measureText(`${letters.join('')}…`).width > width) letters.pop();
  return `${letters.join('')}…`;
}

function stroke(ctx, path, x, y, size, colour, width = 1.6) {
  ctx.save();
  ctx.translate(x, y);
  ctx.scale(size / 16, size / 16);
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.lineJoin = ctx.lineCap = 'round';
  ctx.stroke(pathOf(path));
  ctx.restore();
}

const CHANGES = { added: { hue: '#009E73', sign: '+' }, removed: { hue: '#7A7A7A', sign: '−' }, changed: { hue: '#E69F00', sign: 'Δ' } };
const ALPHA = { skipped: 0.4, 'not reached': 0.45, called: 1, idle: 0.9, waiting: 0.28 };

// look: {scale, selected, hover, faded, now, ports: null | Map("in:name" -> "legal"|"illegal")}
function paintCard(ctx, node, theme, look) {
  const { x, y, w, h } = node, l = x - w / 2, t = y - h / 2, hue = hueIn(theme, node.hue);
  const state = node.state, hollow = state === 'idle' || state === 'not reached';
  ctx.save();
  ctx.globalAlpha = (ALPHA[state] ?? 1) * (node.usage === 0 ? 0.4 : 1) * (node.change === 'removed' ? 0.55 : 1) * (look.faded ? 0.35 : 1) * (node.pending ? 0.6 : 1);
  ctx.beginPath();
  ctx.roundRect(l, t, w, h, 8);
  if (!hollow && !look.flat) { ctx.shadowColor = theme.dark ? 'rgba(0,0,0,.5)' : 'rgba(20,30,50,.16)'; ctx.shadowBlur = 6; ctx.shadowOffsetY = 2; }
  ctx.fillStyle = theme.card;
  ctx.fill();
  ctx.shadowColor = 'transparent';
  if (!hollow) paintHead(ctx, l, t, w, hue, theme, state, node.usage);
  if (node.static) paintHatch(ctx, l, t + h - 5, w, theme);
  if (node.share > 0) paintShare(ctx, node, l, t, w, h, hue, theme);
  ctx.beginPath();
  ctx.roundRect(l, t, w, h, 8);
  const worst = (node.problems || []).some((p) => p.severity === 'error') ? theme.bad : (node.problems || []).length ? theme.warn : null;
  ctx.strokeStyle = look.selected ? theme.accent : worst || (state ? hue : look.hover ? theme.soft : theme.line);
  ctx.lineWidth = look.selected ? 2.5 : worst || state === 'called' || hollow ? 1.8 : 1;
  if (state === 'not reached') ctx.setLineDash([2, 4]);
  if (node.change) { ctx.strokeStyle = CHANGES[node.change].hue; ctx.lineWidth = 2.4; }
  if (node.pending || node.change === 'removed') ctx.setLineDash([5, 4]);
  if (look.now) { ctx.strokeStyle = theme.text; ctx.lineWidth = 3.2; }
  ctx.stroke();
  ctx.setLineDash([]);
  paintWords(ctx, node, l, t, hue, theme, look);
  paintPorts(ctx, node, theme, look);
  if (state === 'skipped') paintSlash(ctx, l + w - 4, t + 4, theme);
  if (node.tag) paintTag(ctx, { x: l + w - 18, y: t }, node.tag, theme);
  if (node.change) paintChange(ctx, node, l, t, theme);
  else if (worst && !state) paintProblem(ctx, l + w - 3, t + 3, worst, theme);
  ctx.restore();
}

function paintHead(ctx, l, t, w, hue, theme, state, usage) {
  ctx.save();
  ctx.beginPath();
  ctx.roundRect(l, t, w, 24, [8, 8, 0, 0]);
  ctx.fillStyle = mix(hue, theme.card, usage !== undefined ? 0.92 - 0.55 * usage : state === 'called' ? 0.45 : theme.dark ? 0.72 : 0.84);
  ctx.fill();
  ctx.beginPath();
  ctx.roundRect(l, t, w, 3.5, [8, 8, 0, 0]);
  ctx.fillStyle = hue;
  ctx.fill();
  ctx.restore();
}

function paintHatch(ctx, l, y, w, theme) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(l + 8, y - 3, w - 16, 4);
  ctx.clip();
  ctx.strokeStyle = theme.soft;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let at = l + 4; at < l + w; at += 5) { ctx.moveTo(at, y + 2); ctx.lineTo(at + 6, y - 4); }
  ctx.stroke();
  ctx.restore();
}

function paintShare(ctx, node, l, t, w, h, hue, theme) {
  const long = Math.max(2, (w - 16) * Math.min(1, node.share)), y = t + h - (node.static ? 12 : 7);
  ctx.fillStyle = mix(theme.text, theme.card, 0.9);
  ctx.fillRect(l + 8, y, w - 16, 2.5);
  ctx.fillStyle = hue;
  ctx.fillRect(l + 8, y, long, 2.5);
}

function paintWords(ctx, node, l, t, hue, theme, look) {
  const small = look.scale < 0.72, size = small ? Math.min(17, 9.2 / look.scale) : 12.5;
  const mark = node.tuning ? MARKS[node.tuning] || MARKS.plug : null;
  stroke(ctx, ICONS[node.kind] || ICONS.unknown, l + 7, t + 7, 12, hue, 1.8);
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  ctx.fillStyle = theme.text;
  ctx.font = `600 ${size}px ${theme.font}`;
  ctx.fillText(clip(ctx, node.label, node.w - (mark ? 46 : 30)), l + 24, t + 14);
  if (mark) stroke(ctx, mark, l + node.w - 19, t + 7.5, 12, node.tuning === 'frozen' ? theme.soft : node.tuning === 'full' ? hueIn(theme, '#D55E00') : hueIn(theme, '#009E73'), 1.5);
  if (look.scale < 0.4) return;
  ctx.font = `${small ? Math.min(12.5, 8 / look.scale) : 10.5}px ${theme.font}`;
  ctx.fillStyle = theme.soft;
  ctx.fillText(clip(ctx, node.note, node.w - 16), l + 8, t + 33);
}

function paintPorts(ctx, node, theme, look) {
  ctx.font = `10px ${theme.font}`;
  ctx.textBaseline = 'middle';
  const labels = look.scale >= 0.55;
  node.inputs.forEach((port, i) => paintPort(ctx, node, port, 'in', i, theme, look, labels));
  node.outputs.forEach((port, i) => paintPort(ctx, node, port, 'out', i, theme, look, labels));
}

function paintPort(ctx, node, port, side, index, theme, look, labels) {
  const at = portPoint(node, side, index), mark = look.ports && look.ports.get(`${node.id}.${side}.${port.name}`);
  const hue = hueIn(theme, TYPE_HUES[port.type || (port.types || [])[0]] || '#7A7A7A');
  ctx.save();
  if (look.ports) ctx.globalAlpha = mark === 'legal' || mark === 'from' ? 1 : 0.25;
  if (mark === 'legal') {
    ctx.beginPath(); ctx.arc(at.x, at.y, 10, 0, 7); ctx.fillStyle = mix(theme.accent, theme.card, 0.55); ctx.fill();
  }
  ctx.beginPath();
  if (port.many) ctx.roundRect(at.x - 3.5, at.y - 6, 7, 12, 3.5); else ctx.arc(at.x, at.y, 4.5, 0, 7);
  const empty = side === 'in' && !port.type;
  ctx.fillStyle = empty ? theme.card : hue;
  ctx.fill();
  ctx.strokeStyle = empty ? hue : theme.card;
  ctx.lineWidth = empty ? 1.8 : 1.2;
  if (port.optional && empty) ctx.setLineDash([2, 2]);
  ctx.stroke();
  ctx.setLineDash([]);
  if (labels) {
    const name = port.name.replace('branch_', '').replace(/~.*/, '');
    const busy = node.outputs.length > 1, plain = name === 'in' || name === 'out';
    const text = plain || (side === 'out' && !busy) ? port.text || name : name;
    ctx.fillStyle = theme.soft;
    ctx.textAlign = side === 'in' ? 'left' : 'right';
    const extra = side === 'out' && busy && index === 0 && port.text ? `${port.text} · ` : '';
    ctx.fillText(clip(ctx, extra + text, node.w * (plain ? 0.44 : 0.62)), at.x + (side === 'in' ? 9 : -9), at.y + 0.5);
  }
  ctx.restore();
}

function paintSlash(ctx, x, y, theme) {
  ctx.beginPath(); ctx.arc(x, y, 6.5, 0, 7); ctx.fillStyle = theme.card; ctx.fill();
  ctx.strokeStyle = theme.text; ctx.lineWidth = 1.5; ctx.stroke();
  ctx.beginPath(); ctx.moveTo(x - 4.5, y + 4.5); ctx.lineTo(x + 4.5, y - 4.5); ctx.stroke();
}

function paintProblem(ctx, x, y, colour, theme) {
  ctx.beginPath(); ctx.moveTo(x, y - 9); ctx.lineTo(x + 9, y + 7); ctx.lineTo(x - 9, y + 7); ctx.closePath();
  ctx.fillStyle = colour; ctx.fill();
  ctx.fillStyle = theme.page; ctx.fillRect(x - 1, y - 4, 2, 6); ctx.fillRect(x - 1, y + 3.5, 2, 2);
}

function paintChange(ctx, node, l, t, theme) {
  const { hue, sign } = CHANGES[node.change];
  if (node.change === 'removed') {
    ctx.strokeStyle = theme.text; ctx.lineWidth = 1.5;
    ctx.beginPath(); ctx.moveTo(l + 5, t + node.h - 5); ctx.lineTo(l + node.w - 5, t + 5); ctx.stroke();
  }
  ctx.beginPath(); ctx.arc(l + 2, t + 2, 9, 0, 7); ctx.fillStyle = hue; ctx.fill();
  ctx.fillStyle = '#ffffff'; ctx.font = `700 13px ${theme.font}`; ctx.textAlign = 'center'; ctx.textBaseline = 'middle';
  ctx.fillText(sign, l + 2, t + 2.5);
}

// look: {selected, hover, faded, pending}
function paintWire(ctx, edge, way, theme, look) {
  const state = edge.state, change = CHANGES[edge.change], hue = hueIn(theme, change ? change.hue : TYPE_HUES[edge.type] || '#7A7A7A');
  ctx.save();
  const faint = edge.usage !== undefined ? 0.25 + 0.75 * edge.usage : state === 'skipped' ? 0.45 : state === 'not reached' ? 0.5 : state === 'waiting' ? 0.2 : 1;
  ctx.globalAlpha = faint * (look.faded ? 0.25 : 1);
  ctx.lineCap = 'round';
  trace(ctx, way);
  if (look.selected || look.hover) { ctx.strokeStyle = mix(theme.accent, theme.page, 0.6); ctx.lineWidth = 9; ctx.stroke(); }
  ctx.strokeStyle = look.selected ? theme.accent : state === 'skipped' ? theme.soft : mix(hue, theme.page, state === 'called' ? 0 : 0.18);
  ctx.lineWidth = edge.usage !== undefined ? 1 + 4.5 * edge.usage : state === 'called' ? 3.6 : state === 'skipped' ? 1 : 1.9;
  if (state === 'not reached' || look.pending || edge.change === 'removed') ctx.setLineDash([2, 5]);
  ctx.stroke();
  ctx.setLineDash([]);
  const { q } = way;
  if (state !== 'skipped') {
    ctx.beginPath(); ctx.moveTo(q.x - 5, q.y); ctx.lineTo(q.x - 12, q.y - 4); ctx.lineTo(q.x - 12, q.y + 4); ctx.closePath();
    ctx.fillStyle = ctx.strokeStyle; ctx.fill();
  }
  const label = edge.tag ? edge.tag : state === 'called' && edge.gate != null ? Number(edge.gate).toPrecision(2) : edge.weight != null ? `× ${edge.weight}` : null;
  const tag = [change ? change.sign : '', label || ''].join(' ').trim();
  if (edge.usage !== undefined) ctx.globalAlpha = 1;
  if (tag) paintTag(ctx, labelPoint(way), tag, theme);
  ctx.restore();
}

function paintTag(ctx, at, text, theme) {
  ctx.font = `600 10.5px ${theme.font}`;
  const wide = ctx.measureText(text).width + 10;
  ctx.beginPath(); ctx.roundRect(at.x - wide / 2, at.y - 8, wide, 16, 8);
  ctx.fillStyle = theme.page; ctx.fill(); ctx.strokeStyle = theme.line; ctx.lineWidth = 1; ctx.stroke();
  ctx.fillStyle = theme.text; ctx.textAlign = 'center'; ctx.textBaseline = 'middle';
  ctx.fillText(text, at.x, at.y + 0.5);
}

function paintGrid(ctx, box, step, theme) {
  ctx.fillStyle = theme.grid;
  for (let x = Math.floor(box.l / step) * step; x < box.r; x += step) {
    for (let y = Math.floor(box.t / step) * step; y < box.b; y += step) ctx.fillRect(x - 0.8, y - 0.8, 1.6, 1.6);
  }
}
