// The drop zone for tables. Transfers belong to the window: they go on when the page changes and are shown
// again where the zone is drawn next.

const CALM = 1000; // milliseconds
const desk = (globalThis.fgUploads ??= { transfers: [], zone: null, touched: 0 });

for (const what of ['pointerdown', 'keydown']) addEventListener(what, () => { desk.touched = Date.now(); }, true);

addEventListener('beforeunload', (event) => {
  if (desk.transfers.some((transfer) => transfer.request)) event.preventDefault();
});

function send(file, { desk: to, zone, most }) {
  const transfer = { name: file.name, part: 0, began: Date.now(), refused: '' };
  desk.transfers.push(transfer);
  if (file.size > most) {
    end(transfer, `${file.name} is larger than ${most >> 20} MB, the most that is kept. Upload a part of it.`);
    return;
  }
  const request = (transfer.request = new XMLHttpRequest());
  request.upload.onprogress = (event) => {
    transfer.part = event.total ? event.loaded / event.total : 0;
    draw();
  };
  request.onload = () => end(transfer, request.status === 202 ? '' : said(request));
  request.onerror = () => end(transfer, `${file.name} did not arrive: the connection broke. Send it again.`);
  request.onabort = () => end(transfer, '');
  request.open('POST', new URL(`upload/${to}?zone=${zone}&name=${encodeURIComponent(file.name)}`, location.href));
  request.send(file);
  draw();
}

function said(request) {
  try {
    return JSON.parse(request.responseText).refused;
  } catch {
    return `The server answered ${request.status}. Send the file again.`;
  }
}

function end(transfer, refused) {
  transfer.refused = refused;
  transfer.request = null;
  if (!refused) desk.transfers = desk.transfers.filter((other) => other !== transfer);
  draw();
  if (!refused) tell();
}

// The page runs again, but not over a click that was just made: the later of two runs would win.
function tell() {
  if (Date.now() - desk.touched < CALM) setTimeout(tell, CALM);
  else if (desk.zone) desk.zone.component.setTriggerValue('sent', Date.now());
}

function left(transfer) {
  const passed = (Date.now() - transfer.began) / 1000;
  if (passed < 1 || !transfer.part) return '';
  return `, about ${Math.max(1, Math.round((passed * (1 - transfer.part)) / transfer.part))} s left`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text) made.textContent = text;
  return made;
}

function line(transfer) {
  const row = element('div', 'fg-transfer');
  row.setAttribute('role', transfer.refused ? 'alert' : 'status');
  const share = Math.round(100 * transfer.part);
  row.append(element('span', 'fg-said', transfer.refused || `Sending ${transfer.name}: ${share} %${left(transfer)}`));
  const button = element('button', 'fg-end', transfer.refused ? 'Dismiss' : 'Cancel');
  button.onclick = () => {
    if (transfer.request) transfer.request.abort();
    else end(transfer, '');
  };
  row.append(button);
  if (!transfer.refused) {
    const bar = element('div', 'fg-bar');
    bar.append(element('div', 'fg-part'));
    bar.firstChild.style.width = `${share}%`;
    row.append(bar);
  }
  return row;
}

function draw() {
  if (desk.zone) desk.zone.list.replaceChildren(...desk.transfers.map(line));
}

function build(root) {
  const zone = element('label', 'fg-zone');
  zone.append(element('strong', '', 'Upload a table'));
  zone.append(element('span', 'fg-hint', 'Drop files here, or choose them'));
  zone.append(element('span', 'fg-hint', 'CSV, TSV, JSON lines, Parquet, Excel · up to 200 MB, two million rows'));
  const input = element('input', 'fg-file');
  Object.assign(input, { type: 'file', multiple: true });
  input.setAttribute('aria-label', 'Upload a table');
  zone.append(input);
  const list = element('div', 'fg-transfers');
  root.replaceChildren(zone, list);
  return { zone, input, list };
}

export default function (component) {
  const root = component.parentElement.querySelector('.fg-upload');
  root.fgParts ??= build(root);
  const { zone, input, list } = root.fgParts;
  const sendAll = (chosen) => [...chosen].forEach((file) => send(file, component.data));
  input.accept = component.data.endings;
  input.onchange = () => {
    sendAll(input.files);
    input.value = '';
  };
  zone.ondragover = (event) => {
    event.preventDefault();
    zone.classList.add('fg-over');
  };
  zone.ondragleave = () => zone.classList.remove('fg-over');
  zone.ondrop = (event) => {
    event.preventDefault();
    zone.classList.remove('fg-over');
    sendAll(event.dataTransfer.files);
  };
  desk.zone = { component, list };
  draw();
  return () => {
    if (desk.zone && desk.zone.list === list) desk.zone = null;
  };
}
