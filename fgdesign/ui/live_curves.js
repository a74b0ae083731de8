// Draws curves of a run at work: each only when it has changed, one line of time through all of them.
// What a curve is says fgdesign.views.curves; texts become text, never markup. Knows nothing of runs.

const SVG = 'http://www.w3.org/2000/svg', RIGHT = 12, TOP = 8, BOTTOM = 22, ROOM = 15, MARKED = 60;
const DASHES = { solid: 'none', dash: '7 5', dot: '2 4' };
const known = new WeakMap();

export default function (component) {
  const host = component.parentElement;
  if (!known.has(host)) known.set(host, new Curves(host.querySelector('.fg-curves')));
  known.get(host).update(component.data.curves);
  return () => {
    known.get(host)?.end();
    known.delete(host);
  };
}

const make = (tag, mark, parent, text) => {
  const one = document.createElement(tag);
  one.className = mark;
  if (text !== undefined) one.textContent = text;
  parent.append(one);
  return one;
};

const draw = (tag, values, parent, text) => {
  const one = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) one.setAttribute(name, value);
  if (text !== undefined) one.textContent = text;
  parent.append(one);
  return one;
};

const short = (value) => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
const share = (value) => `${Number((100 * value).toFixed(1))}%`;

function ticks(low, high, most) { // round values between two ends
  const rough = (high - low) / most || 1, size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((times) => size * times >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

class Curves {
  constructor(box) {
    this.box = box;
    this.charts = new Map();
    this.sized = new ResizeObserver(() => {
      if (this.width !== box.clientWidth) this.charts.forEach((chart) => chart.fit());
      this.width = box.clientWidth;
    });
    this.sized.observe(box);
  }

  update(told) {
    for (const [key, chart] of this.charts) {
      if (!told.some((curve) => curve.key === key)) {
        chart.box.remove();
        this.charts.delete(key);
      }
    }
    told.forEach((curve, place) => {
      if (!this.charts.has(curve.key)) this.charts.set(curve.key, new Chart(this, curve.key));
      const chart = this.charts.get(curve.key);
      if (this.box.children[place] !== chart.box) this.box.insertBefore(chart.box, this.box.children[place]);
      chart.update(curve);
    });
  }

  point(time, at) { // every chart shows the same time; the one that is pointed at says what it is there
    for (const chart of this.charts.values()) chart.point(time, chart === at);
  }

  end() {
    this.sized.disconnect();
  }
}

class Chart {
  constructor(curves, key) {
    this.box = make('figure', 'fg-curve', curves.box);
    this.box.dataset.curve = key;
    this.head = make('figcaption', 'fg-head', this.box);
    this.plot = make('div', 'fg-plot', this.box);
    this.svg = draw('svg', { role: 'img' }, this.plot);
    this.tip = make('div', 'fg-said', this.plot);
    this.svg.onpointermove = (event) => {
      if (this.x) curves.point(this.x.back(event.offsetX), this);
    };
    this.svg.onpointerleave = () => curves.point(null, null);
  }

  update(curve) {
    const text = JSON.stringify(curve);
    if (text === this.text) return;
    this.text = text;
    this.curve = curve;
    this.lines = curve.lines.map((line) => ({ ...line, tops: line.ys }));
    if (curve.stacked) {
      this.lines.forEach((line, place) => {
        line.floors = place ? this.lines[place - 1].tops : line.ys.map(() => 0);
        line.tops = line.ys.map((value, at) => value + line.floors[at]);
      });
    }
    this.box.classList.toggle('fg-wide', curve.wide);
    this.head.replaceChildren();
    make('strong', '', this.head, curve.title);
    for (const line of curve.legend ? this.lines : []) {
      const name = make('span', 'fg-name', this.head, line.name);
      name.style.setProperty('--hue', line.colour);
      name.dataset.dash = line.dash;
    }
    this.fit();
  }

  fit() {
    const width = this.plot.clientWidth, height = Math.max(60, this.curve.height - this.head.offsetHeight - 6);
    if (!width) return;
    this.height = height;
    for (const [name, value] of Object.entries({ width, height })) this.svg.setAttribute(name, value);
    this.svg.replaceChildren();
    this.svg.setAttribute('aria-label', [this.curve.title, ...this.lines.map((line) => this.value(line, line.ys.length - 1))].join('; '));
    if (!this.lines.length) {
      this.x = null;
      draw('text', { x: width / 2, y: height / 2, class: 'fg-faint', 'text-anchor': 'middle' }, this.svg, this.curve.nothing);
      return;
    }
    this.scale(width, height);
    if (this.curve.stacked) this.lines.forEach((line) => this.area(line));
    this.lines.forEach((line) => this.line(line));
    if (this.curve.stacked) this.lines.forEach((line) => this.name(line));
    if (this.curve.best) this.mark(this.curve.best);
    this.over = draw('g', { class: 'fg-over' }, this.svg);
    this.point(this.time ?? null, this.told);
  }

  scale(width, height) {
    const all = this.lines.flatMap((line) => line.tops).filter((value) => value !== null);
    const xs = this.lines.flatMap((line) => line.xs);
    let [low, high] = this.curve.limits || ends(all);
    if (!this.curve.limits) {
      const room = 0.06 * (high - low || Math.abs(high) || 1);
      [low, high] = [this.curve.from_zero ? 0 : low - room, high + room];
    }
    const from = ticks(low, high, height < 170 ? 4 : 5), told = from.map((value) => this.curve.shares ? share(value) : short(value));
    const left = this.left = 14 + 6.6 * Math.max(1, ...told.map((text) => text.length));
    const [first, last] = this.curve.span || ends(xs);
    const scale = (a, b, start, end) => Object.assign((value) => start + ((value - a) / (b - a || 1)) * (end - start),
      { back: (place) => a + ((place - start) / (end - start || 1)) * (b - a) });
    this.x = scale(first, last, left, width - RIGHT);
    this.y = scale(low, high, height - BOTTOM, TOP);
    from.forEach((value, place) => {
      draw('line', { x1: left, x2: width - RIGHT, y1: this.y(value), y2: this.y(value), class: 'fg-grid' }, this.svg);
      draw('text', { x: left - 8, y: this.y(value) + 4, class: 'fg-faint', 'text-anchor': 'end' }, this.svg, told[place]);
    });
    for (const value of ticks(first, last, Math.max(2, Math.floor(width / 60)))) {
      const place = this.x(value), end = place > width - 30;
      draw('text', { x: end ? width - RIGHT : place, y: height - 5, class: 'fg-faint', 'text-anchor': end ? 'end' : 'middle' },
        this.svg, `${short(value)} s`);
    }
  }

  line(line) {
    let path = '', begun = false;
    line.tops.forEach((value, place) => {
      if (value !== null) path += `${begun ? 'L' : 'M'}${this.x(line.xs[place]).toFixed(1)} ${this.y(value).toFixed(1)}`;
      begun = value !== null;
    });
    draw('path', { d: path, class: 'fg-line', stroke: line.colour, 'stroke-width': line.width, 'stroke-dasharray': DASHES[line.dash] }, this.svg);
    if (line.xs.length > 1 && !(line.dots && line.xs.length <= MARKED)) return;
    line.tops.forEach((value, place) => value === null || this.dot(line, place, this.svg, 3));
  }

  dot(line, place, parent, size) {
    draw('circle', { cx: this.x(line.xs[place]), cy: this.y(line.tops[place]), r: size, fill: line.colour }, parent);
  }

  area(line) {
    const there = line.tops.map((value, at) => `${this.x(line.xs[at]).toFixed(1)} ${this.y(value).toFixed(1)}`);
    const back = line.floors.map((value, at) => `${this.x(line.xs[at]).toFixed(1)} ${this.y(value).toFixed(1)}`).reverse();
    draw('path', { d: `M${[...there, ...back].join('L')}Z`, class: 'fg-area', fill: line.colour }, this.svg);
  }

  name(line) { // inside its area, where there is room
    const last = line.ys.length - 1, [top, floor] = [this.y(line.tops[last]), this.y(line.floors[last])];
    if (floor - top < ROOM) return;
    draw('text', { x: this.x(line.xs[last]) - 6, y: (top + floor) / 2 + 4, 'text-anchor': 'end' }, this.svg, line.name);
  }

  mark({ x, y, words, below, left, colour }) {
    const [across, up] = [this.x(x), this.y(y)];
    draw('path', { d: `M${across - 7} ${up}l7 -7l7 7l-7 7z`, fill: colour }, this.svg);
    draw('text', { x: across + (left ? -9 : 9), y: up + (below ? 19 : -9), 'text-anchor': left ? 'end' : 'start' }, this.svg, words);
  }

  value(line, place) { // of one point, in words
    if (line.told.length) return line.told[place];
    const value = line.ys[place];
    return `${line.name}: ${value === null ? '–' : this.curve.shares ? share(value) : short(value)}`;
  }

  point(time, told) {
    this.time = time;
    this.told = told;
    this.tip.classList.toggle('fg-on', Boolean(told && this.x && time !== null));
    if (!this.x || !this.over) return;
    this.over.replaceChildren();
    if (time === null) return;
    const width = this.plot.clientWidth, across = Math.min(width - RIGHT, Math.max(this.left, this.x(time)));
    draw('line', { x1: across, x2: across, y1: TOP, y2: this.height - BOTTOM, class: 'fg-now' }, this.over);
    this.tip.replaceChildren();
    const near = this.lines.map((line) => [line, nearest(line, time)]).filter(([, place]) => place !== null);
    const best = Math.min(...near.map(([line, place]) => Math.abs(line.xs[place] - time)));
    for (const [line, place] of near) {
      if (line.told.length && Math.abs(line.xs[place] - time) > best) continue; // another stage's
      this.dot(line, place, this.over, 4);
      const text = make('div', 'fg-name', this.tip, this.value(line, place));
      text.style.setProperty('--hue', line.colour);
    }
    const right = across > width / 2;
    Object.assign(this.tip.style, { left: right ? 'auto' : `${across + 10}px`, right: right ? `${width - across + 10}px` : 'auto' });
  }
}

function nearest(line, time) { // the place of the point that is closest in time; null where there is none
  let best = null;
  line.xs.forEach((x, place) => {
    if (line.tops[place] !== null && (best === null || Math.abs(x - time) <= Math.abs(line.xs[best] - time))) best = place;
  });
  return best;
}
