// What stands around the picture: palette, tools, search, rename, help, tips, toasts and the list of problems.
// Every text is set as text, never as markup.

function make(tag, name = '', attributes = {}, text = null) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  return element;
}

function button(name, label, text, act) {
  const element = make('button', name, { type: 'button', 'aria-label': label, title: label }, text);
  element.addEventListener('click', (event) => { event.stopPropagation(); act(event); });
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';
function icon(path, colour = 'currentColor') {
  const svg = document.createElementNS(SVG, 'svg'), line = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  line.setAttribute('d', path);
  line.setAttribute('style', `fill:none;stroke:${colour};stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round`);
  svg.append(line);
  return svg;
}

const TOOLS = [
  ['undo', 'M6 3L2.5 6.5 6 10M2.5 6.500H10a4 4 0 0 1 0 8H7', (c) => c.edit({ op: 'undo' })],
  ['redo', 'M10 3l3.5 3.500L10 10M13.5 6.500H6a4 4 0 0 0 0 8h3', (c) => c.edit({ op: 'redo' })],
  ['delete', 'M2.5 4h11M6 4V2h4v2M4 4l.7 10h6.600L12 4', (c) => removeSelected(c)],
  ['duplicate', 'M5 5h9v9H5zM2 11V2h9', (c) => { const ids = c.net.getSelectedNodes(); if (ids.length) c.edit({ op: 'duplicate', nodes: ids }); }],
  ['lay out', 'M1.5 6h4v4h-4zM10.5 1.500h4v4h-4zM10.5 10.500h4v4h-4zM5.5 8h2.500V3.500h2.500M8 8v4.500h2.5', (c) => c.edit({ op: 'layout' })],
  ['collapse layers', 'M8 1.500l6.5 3L8 7.500l-6.5-3zM1.5 8L8 11l6.500-3M1.5 11.500L8 14.500l6.500-3', (c) => c.edit({ op: 'fold' })],
];
const VIEW_TOOLS = [
  ['zoom out', 'M3 8h10', (c) => c.zoom(0.8)],
  ['zoom in', 'M3 8h10M8 3v10', (c) => c.zoom(1.25)],
  ['fit', 'M1.5 5.500v-4h4M10.5 1.500h4v4M14.5 10.500v4h-4M5.5 14.500h-4v-4', (c) => c.fit()],
  ['map', 'M1.5 3l4-1.500 5 2 4-1.500v11l-4 1.500-5-2-4 1.500zM5.5 1.500v11M10.5 3.500v11', (c) => toggleMap(c)],
  ['save picture (PNG)', 'M8 2v8M4.5 7L8 10.5 11.5 7M2.5 13.500h11', (c) => savePicture(c)],
  ['keys', 'M5.5 6a2.5 2.5 0 1 1 3.5 2.300c-.7.3-1 .8-1 1.700M8 12.800v.1', (c) => openHelp(c)],
];

function buildChrome(c) {
  c.tools = make('div', 'fg-tools', { role: 'toolbar', 'aria-label': 'Canvas tools' });
  for (const [label, path, act] of [...(c.editable ? TOOLS : []), ...VIEW_TOOLS]) {
    const tool = button('fg-tool', label, null, () => act(c));
    tool.dataset.tool = label;
    tool.append(icon(path));
    c.tools.append(tool);
  }
  c.area.append(c.tools);
  c.tipBox = c.area.appendChild(make('div', 'fg-tip', { role: 'tooltip' }));
  c.toasts = c.area.appendChild(make('div', 'fg-toasts', { role: 'status', 'aria-live': 'polite' }));
  c.tip = (event, text, kind = '') => showTip(c, event, text, kind);
  c.hideTip = () => { clearTimeout(c.tipSoon); c.tipBox.classList.remove('fg-on'); };
  c.toast = (text, kind = '', action = null) => showToast(c, text, kind, action);
  c.centre = () => c.net.DOMtoCanvas({ x: c.stage.clientWidth / 2, y: c.stage.clientHeight / 2 });
  c.tellRefusals = (refused) => tellRefusals(c, refused || []);
  if (c.editable) {
    buildPalette(c);
    c.problems = c.root.appendChild(make('div', 'fg-problems', { role: 'list', 'aria-label': 'Problems' }));
    c.empty = c.area.appendChild(make('div', 'fg-empty', {}, 'Empty. Drag a node from the left, double-click here, or press A.'));
  }
}

function showTip(c, event, text, kind) {
  const box = c.area.getBoundingClientRect();
  c.tipBox.textContent = text.length > 600 ? `${text.slice(0, 600)}…` : text;
  c.tipBox.className = `fg-tip fg-on ${kind ? `fg-${kind}` : ''}`;
  const { offsetWidth: w, offsetHeight: h } = c.tipBox;
  c.tipBox.style.left = `${Math.max(4, Math.min(event.clientX - box.left + 14, box.width - w - 6))}px`;
  c.tipBox.style.top = `${Math.max(4, Math.min(event.clientY - box.top + 16, box.height - h - 6))}px`;
}

function showToast(c, text, kind, action = null) {
  const toast = make('div', `fg-toast ${kind ? `fg-${kind}` : ''}`);
  toast.append(make('span', '', {}, text.length > 400 ? `${text.slice(0, 400)}…` : text));
  if (action) toast.append(button('fg-act', action.label, action.label, () => { toast.remove(); action.act(); }));
  toast.append(button('fg-close', 'close', '×', () => toast.remove()));
  c.toasts.replaceChildren(...[...c.toasts.children].slice(-2), toast);
  setTimeout(() => toast.remove(), kind === 'bad' ? 9000 : 3500);
}

function tellRefusals(c, refused) {
  for (const { sid, seq, text } of refused) {
    const key = `${sid}:${seq}`;
    if (sid === c.outbox.sid && !c.shown.has(key)) { c.shown.add(key); c.toast(text, 'bad'); }
  }
}

function refreshChrome(c) {
  if (!c.editable) return;
  const { undo, redo } = c.data;
  for (const [name, what] of [['undo', undo], ['redo', redo]]) {
    const tool = c.tools.querySelector(`[data-tool="${name}"]`), label = what ? `${name === 'undo' ? 'Undo' : 'Redo'}: ${what}` : `Nothing to ${name}`;
    tool.disabled = !what;
    tool.title = label;
    tool.setAttribute('aria-label', label);
  }
  const fold = c.tools.querySelector('[data-tool="collapse layers"]'), what = c.data.folded ? 'Expand the layers' : 'Show runs of layers as one card';
  fold.title = what;
  fold.setAttribute('aria-label', what);
  fold.setAttribute('aria-pressed', String(!!c.data.folded));
  c.empty.hidden = c.nodes.size > 0;
  listProblems(c, c.data.problems || []);
}

function listProblems(c, problems) {
  c.problems.replaceChildren(...problems.map((problem, at) => {
    const row = make('div', `fg-problem fg-${problem.severity}`, { role: 'listitem' });
    const text = button('fg-what', problem.node ? `Go to ${problem.node}` : 'Problem', null, () => problem.node && goTo(c, problem.node));
    text.append(make('b', '', {}, problem.severity === 'error' ? '▲ ' : '△ '), make('span', '', {}, problem.text));
    row.append(text);
    (problem.repairs || []).forEach((label, which) => {
      row.append(button('fg-repair', label, label, () => c.edit({ op: 'repair', code: problem.code, problem: at, repair: which, label })));
    });
    return row;
  }));
  c.problems.hidden = problems.length === 0;
}

function buildPalette(c) {
  const palette = make('div', 'fg-palette', { role: 'group', 'aria-label': 'Palette' });
  const search = make('input', 'fg-search', { type: 'search', placeholder: 'Search nodes', 'aria-label': 'Search nodes', spellcheck: 'false' });
  const list = make('div', 'fg-list');
  const fill = () => {
    list.replaceChildren();
    let kind = '';
    for (const entry of matching(search.value)) {
      if (entry.kind !== kind) { kind = entry.kind; list.append(make('div', 'fg-kind', {}, kind)); }
      list.append(chip(c, entry));
    }
    if (!list.children.length) list.append(make('div', 'fg-kind', {}, 'nothing found'));
  };
  search.addEventListener('input', fill);
  search.addEventListener('keydown', (event) => {
    const first = matching(search.value)[0];
    if (event.key === 'Enter' && first) addHere(c, first.type);
    if (event.key === 'Escape') { search.value = ''; fill(); c.root.focus(); }
  });
  fill();
  palette.append(search, list);
  c.body.prepend(palette);
}

function matching(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (entry) => `${entry.title} ${entry.kind} ${entry.type} ${entry.help}`.toLowerCase();
  const found = CATALOGUE.filter((entry) => words.every((word) => text(entry).includes(word)));
  const rank = (entry) => (words.length && entry.title.toLowerCase().startsWith(words[0]) ? 0 : 1);
  return words.length ? [...found].sort((a, b) => rank(a) - rank(b)) : found;
}

function chip(c, entry) {
  const item = make('button', 'fg-chip', { type: 'button', title: `${entry.title}: ${entry.help}` });
  item.dataset.type = entry.type;
  item.append(icon(ICONS[entry.kind] || ICONS.unknown, entry.hue), make('span', '', {}, entry.title));
  item.addEventListener('pointerdown', (event) => carry(c, event, entry, item));
  item.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); addHere(c, entry.type); } });
  return item;
}

// A chip follows the pointer once it has moved; without a move it is a click.
function carry(c, event, entry, item) {
  if (event.button !== 0) return;
  event.preventDefault();
  const from = { x: event.clientX, y: event.clientY }, ghost = make('div', 'fg-ghost', {}, entry.title);
  let moved = false;
  drag(c, (move) => {
    if (!moved && Math.hypot(move.clientX - from.x, move.clientY - from.y) > 5) { moved = true; c.root.append(ghost); }
    const box = c.root.getBoundingClientRect();
    ghost.style.transform = `translate(${move.clientX - box.left + 8}px, ${move.clientY - box.top + 6}px)`;
  }, (up, at, cancelled) => {
    ghost.remove();
    const box = c.stage.getBoundingClientRect();
    const inside = up.clientX > box.left && up.clientX < box.right && up.clientY > box.top && up.clientY < box.bottom;
    if (!moved) addHere(c, entry.type);
    else if (inside && !cancelled) dropNew(c, entry, at);
    item.blur();
    c.root.focus({ preventScroll: true });
  });
}

// A new node dropped on a card is put behind it, into the wire that leaves there; elsewhere it stands alone.
function dropNew(c, entry, at) {
  const under = c.nodeAt(at.x, at.y), has = (ports, name) => ports.some((port) => port.name === name);
  const goesOn = under && !under.pending && [...c.edges.values()].some((edge) => edge.from === under.id);
  if (!goesOn || !has(entry.inputs, 'in') || !has(entry.outputs, 'out')) { add(c, entry.type, at); return; }
  c.edit({ op: 'add', type: entry.type, x: under.x, y: under.y + under.h + 48, onto: under.id });
}

function add(c, type, at, wire = null) {
  const round = (v) => (c.snap ? Math.round(v / SNAP) * SNAP : v);
  const op = { op: 'add', type, x: round(at.x), y: round(at.y) };
  if (wire) Object.assign(op, wire.side === 'out' ? { start: wire.fixedName } : { end: wire.fixedName });
  if (wire && wire.moved) op.instead = c.edges.get(wire.moved) ? c.edges.get(wire.moved).end : null;
  c.edit(op);
}

// A click adds behind the selected nodes and joins them where that fits; else in the middle.
function addHere(c, type) {
  const nodes = c.selectedNodes.map((id) => c.nodes.get(id)).filter((node) => node && !node.pending);
  if (!nodes.length) { add(c, type, c.centre()); return; }
  const x = Math.max(...nodes.map((node) => node.x + node.w)) + 48, y = nodes.reduce((sum, node) => sum + node.y, 0) / nodes.length;
  c.edit({ op: 'add', type, x, y, after: nodes.map((node) => node.id) });
}

function closePopups(c) {
  const open = c.popup;
  c.popup = null;
  if (open) open.remove();
  return !!open;
}

function popup(c, element, x, y) {
  closePopups(c);
  c.popup = element;
  c.area.append(element);
  element.style.left = `${Math.max(6, Math.min(x, c.area.clientWidth - element.offsetWidth - 6))}px`;
  element.style.top = `${Math.max(6, Math.min(y, c.area.clientHeight - element.offsetHeight - 6))}px`;
}

function fits(entry, wire) {
  if (!wire || !wire.type) return true;
  return wire.side === 'out' ? entry.inputs.some((port) => port.types.includes(wire.type)) : entry.outputs.length > 0;
}

// A menu under a search field: arrows choose, Enter picks. find(query) -> entries, item(entry) -> what its line shows.
function openMenu(c, at, words, find, item, pick) {
  const box = make('div', 'fg-menu'), input = make('input', 'fg-search', { type: 'search', placeholder: words, 'aria-label': words });
  const list = make('div', 'fg-list', { role: 'listbox' });
  let entries = [], chosen = 0;
  const take = (entry) => { closePopups(c); pick(entry); c.root.focus({ preventScroll: true }); };
  const fill = () => {
    entries = find(input.value);
    chosen = Math.max(0, Math.min(chosen, entries.length - 1));
    list.replaceChildren(...entries.map((entry, i) => {
      const line = make('button', i === chosen ? 'fg-chip fg-chosen' : 'fg-chip', { type: 'button', role: 'option', 'aria-selected': String(i === chosen), title: entry.help });
      line.append(...item(entry));
      line.addEventListener('click', () => take(entry));
      return line;
    }));
    if (!entries.length) list.append(make('div', 'fg-kind', {}, 'nothing found'));
    if (list.children[chosen]) list.children[chosen].scrollIntoView({ block: 'nearest' });
  };
  input.addEventListener('input', () => { chosen = 0; fill(); });
  input.addEventListener('keydown', (key) => {
    if (key.key === 'ArrowDown' || key.key === 'ArrowUp') { chosen += key.key === 'ArrowDown' ? 1 : -1; fill(); key.preventDefault(); }
    if (key.key === 'Enter' && entries[chosen]) { take(entries[chosen]); key.preventDefault(); }
    if (key.key === 'Escape') cancel(c);
  });
  box.append(input, list);
  fill();
  const place = c.net.canvasToDOM(at);
  popup(c, box, place.x, place.y);
  input.focus({ preventScroll: true });
}

function openSearch(c, at, event = null, wire = null) {
  const find = (query) => matching(query).filter((entry) => fits(entry, wire));
  const item = (entry) => [icon(ICONS[entry.kind] || ICONS.unknown, entry.hue), make('span', '', {}, entry.title), make('small', '', {}, entry.kind)];
  const pick = (entry) => add(c, entry.type, wire && wire.side === 'out' ? { x: at.x + 70, y: at.y } : at, wire);
  openMenu(c, at, wire ? 'Connect to a new…' : 'Add a node', find, item, pick);
}

// All wires that a node may get, and those that it has, by name: drawing wires without a mouse.
function openConnect(c, id) {
  const node = c.nodes.get(id), offers = [];
  if (!node || node.pending) return;
  for (const port of node.outputs) {
    const start = `${id}.${port.name}`;
    for (const [key, reason] of reasons(c.nodes, c.edges, start, 'out', null)) {
      const [to, , name] = key.split('.');
      if (reason === null) offers.push({ op: { op: 'connect', start, end: `${to}.${name}` }, help: `${start} to ${to}.${name}`, sign: '+' });
    }
  }
  for (const edge of c.edges.values()) {
    if (edge.from === id || edge.to === id) offers.push({ op: { op: 'disconnect', start: edge.start, end: edge.end }, help: `${edge.start} to ${edge.end}`, sign: '−' });
  }
  const find = (query) => offers.filter((offer) => offer.help.includes(query.trim().toLowerCase()));
  const item = (offer) => [make('b', '', {}, offer.sign), make('span', '', {}, offer.help)];
  openMenu(c, { x: node.x, y: node.y + node.h / 2 }, 'Connect (+) or disconnect (−)', find, item, (offer) => c.edit(offer.op));
}

function openRename(c, id) {
  const node = c.nodes.get(id);
  if (!node || node.pending) return;
  const input = make('input', 'fg-rename', { 'aria-label': 'Name of the node', maxlength: '64', spellcheck: 'false' });
  const place = c.net.canvasToDOM({ x: node.x - node.w / 2, y: node.y - node.h / 2 });
  input.value = node.label;
  let done = false;
  const finish = (keep) => {
    if (done) return;
    done = true;
    const name = input.value.trim();
    if (c.popup === input) c.popup = null;
    input.remove();
    if (keep && name && name !== id) c.edit({ op: 'rename', id, name });
    c.root.focus({ preventScroll: true });
  };
  input.addEventListener('keydown', (event) => { if (event.key === 'Enter') finish(true); if (event.key === 'Escape') finish(false); });
  input.addEventListener('blur', () => finish(true));
  popup(c, input, place.x, place.y);
  input.style.width = `${Math.max(120, node.w * c.net.getScale())}px`;
  input.focus({ preventScroll: true });
  input.select();
}

function openHelp(c) {
  const sheet = make('div', 'fg-menu fg-help', { role: 'dialog', 'aria-label': 'Keys' });
  sheet.append(make('b', '', {}, 'Keys'));
  const shown = c.editable ? KEYS : KEYS.filter(([key]) => /^(Arrows|F|\+|\?)/.test(key));
  const table = sheet.appendChild(make('dl'));
  for (const [key, what] of shown) table.append(make('dt', '', {}, key), make('dd', '', {}, what));
  sheet.append(make('p', '', {}, 'Drag from a port to a port to connect; ports that fit light up. Drop on an empty place to add what fits. Drop a loose node on a wire to put it in between.'));
  popup(c, sheet, (c.area.clientWidth - 380) / 2, 46);
}

function savePicture(c) {
  const link = make('a', '', { download: `${c.data.title || 'graph'}.png`, href: c.picture().toDataURL('image/png') });
  link.click();
}
