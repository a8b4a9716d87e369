"use strict";
// Plots with one common span of time: drag to zoom, double-click or 0 to see all, + - and arrow keys, wheel with Ctrl.
// A click chooses the nearest packet: a line stands at its time in all plots, and the ladder shows its segment, and the other way.
// Each kind of marks has levels; one mark of a level stands for four of the level below, with their least and greatest value.
(() => {
  const data = JSON.parse(document.querySelector("#curves").textContent);
  const plots = [];
  const all = { from: Infinity, to: -Infinity };
  const view = { from: 0, to: 1, chosen: null };
  const findings = [];
  const LEFT = 84, RIGHT = 10, TOP = 8, BOTTOM = 22;

  function numbers(type, text) {
    const octets = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    return new type(octets.buffer);
  }

  function levels(base) {
    const found = [base];
    while (found[found.length - 1].time.length > 1500) {
      const below = found[found.length - 1];
      const size = Math.ceil(below.time.length / 4);
      const next = { time: new Float64Array(size), low: new Float64Array(size), high: new Float64Array(size), packet: new Uint32Array(size) };
      for (let at = 0; at < size; at++) {
        const end = Math.min(4 * at + 4, below.time.length);
        next.time[at] = below.time[4 * at];
        next.packet[at] = below.packet[4 * at];
        next.low[at] = below.low[4 * at];
        next.high[at] = below.high[4 * at];
        for (let each = 4 * at + 1; each < end; each++) {
          next.low[at] = Math.min(next.low[at], below.low[each]);
          next.high[at] = Math.max(next.high[at], below.high[each]);
        }
      }
      found.push(next);
    }
    return found;
  }

  // The first place whose time is not before the given one.
  function place(times, time) {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < time) low = middle + 1; else high = middle;
    }
    return low;
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most;
    if (!(rough > 0)) return [low];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at <= high / step + 1e-9; at++) found.push(Number((at * step).toPrecision(12)));
    return found;
  }

  class Plot {
    constructor(canvas, about) {
      this.canvas = canvas;
      this.unit = about.unit;
      this.output = canvas.parentElement.querySelector("output");
      this.series = about.series.map((each) => ({
        ...each,
        levels: levels({
          time: numbers(Float64Array, each.time),
          low: numbers(Float64Array, each.low),
          high: numbers(Float64Array, each.high),
          packet: numbers(Uint32Array, each.packet),
        }),
      }));
      for (const { levels: [base] } of this.series) {
        if (!base.time.length) continue;
        all.from = Math.min(all.from, base.time[0]);
        all.to = Math.max(all.to, base.time[base.time.length - 1]);
      }
    }

    // The level of a series that has few enough marks in view, with the places of its first and last one.
    seen(series) {
      // A curve comes from the left of what is seen; other marks stand alone.
      const before = series.shape === "steps" || series.shape === "line" ? 1 : 0;
      for (const level of series.levels) {
        const first = Math.max(place(level.time, view.from) - before, 0);
        const last = Math.min(place(level.time, view.to) + 1, level.time.length);
        if (last - first <= 3000 || level === series.levels[series.levels.length - 1]) return [level, first, last];
      }
      return [series.levels[0], 0, 0];
    }

    draw() {
      const ratio = window.devicePixelRatio || 1;
      const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
      this.canvas.width = width * ratio;
      this.canvas.height = height * ratio;
      const pen = this.canvas.getContext("2d");
      pen.scale(ratio, ratio);
      const colours = getComputedStyle(document.documentElement);
      const colour = (name) => colours.getPropertyValue(`--${name}`);
      let low = Infinity, high = -Infinity;
      const parts = this.series.map((each) => [each, ...this.seen(each)]);
      for (const [each, level, first, last] of parts) {
        if (each.outside) continue;
        for (let at = first; at < last; at++) {
          low = Math.min(low, level.low[at]);
          high = Math.max(high, level.high[at]);
        }
      }
      if (!(high > low)) { high = (low === Infinity ? 0 : low) + this.unit; low = low === Infinity ? 0 : low; }
      if (this.series.some((each) => each.zero)) low = 0;
      high += (high - low) * 0.05;
      const x = (time) => LEFT + (time - view.from) * (width - LEFT - RIGHT) / (view.to - view.from);
      const y = (value) => TOP + (high - value) * (height - TOP - BOTTOM) / (high - low);
      this.scale = { x, y };
      pen.font = "11px sans-serif";
      pen.fillStyle = colour("muted");
      pen.strokeStyle = colour("line");
      pen.lineWidth = 1;
      for (const value of ticks(low / this.unit, high / this.unit, 5)) {
        const at = Math.round(y(value * this.unit)) + 0.5;
        pen.beginPath(); pen.moveTo(LEFT, at); pen.lineTo(width - RIGHT, at); pen.stroke();
        pen.textAlign = "right"; pen.fillText(value.toLocaleString("en", { maximumFractionDigits: 6 }), LEFT - 6, at + 4);
      }
      pen.textAlign = "center";
      for (const value of ticks(view.from / 1e9, view.to / 1e9, 8)) {
        const text = `${value} s`, half = pen.measureText(text).width / 2;
        pen.fillText(text, Math.min(x(value * 1e9), width - half), height - 6);
      }
      pen.save();
      pen.beginPath(); pen.rect(LEFT - 4, 0, width - LEFT - RIGHT + 8, height - BOTTOM + 2); pen.clip();
      for (const each of findings) this.upright(pen, x(each.time), height, colour("fault"), [2, 3]);
      if (view.chosen !== null) this.upright(pen, x(view.chosen), height, colour("ink"), []);
      for (const [each, level, first, last] of parts) {
        pen.strokeStyle = pen.fillStyle = colour(each.colour);
        pen.lineWidth = each.thick ? 2.5 : 1.3;
        pen.beginPath();
        for (let at = first; at < last; at++) {
          const left = x(level.time[at]), lower = y(level.low[at]), upper = y(level.high[at]);
          if (each.shape === "span") {
            pen.moveTo(left, lower); pen.lineTo(left, upper);
            pen.moveTo(left - 3, lower); pen.lineTo(left + 3, lower);
            pen.moveTo(left - 3, upper); pen.lineTo(left + 3, upper);
          } else if (each.shape === "tick") {
            pen.moveTo(left, lower); pen.lineTo(left, lower + 6);
          } else if (each.shape === "letter") {
            const half = pen.measureText(each.letter).width / 2;
            const inside = Math.min(Math.max(left, LEFT + half), width - RIGHT - half);
            if (last - first < 400) pen.fillText(each.letter, inside, Math.max(upper - 4, 10));
          } else {
            if (at > first && each.shape === "steps") pen.lineTo(left, y(level.high[at - 1]));
            if (at === first) pen.moveTo(left, lower); else pen.lineTo(left, lower);
            if (lower !== upper) pen.lineTo(left, upper);
          }
        }
        pen.stroke();
      }
      pen.restore();
    }

    upright(pen, at, height, colour, dashes) {
      pen.strokeStyle = colour;
      pen.lineWidth = 1;
      pen.setLineDash(dashes);
      pen.beginPath(); pen.moveTo(at, 0); pen.lineTo(at, height - BOTTOM); pen.stroke();
      pen.setLineDash([]);
    }

    // The mark of the finest level that is nearest in time to a place.
    nearest(at) {
      const time = view.from + (at - LEFT) * (view.to - view.from) / (this.canvas.clientWidth - LEFT - RIGHT);
      let best = null;
      for (const each of this.series) {
        const [base] = each.levels;
        const here = place(base.time, time);
        for (const near of [here - 1, here]) {
          if (near < 0 || near >= base.time.length || each.shape === "letter") continue;
          const distance = Math.abs(base.time[near] - time);
          if (!best || distance < best.distance) best = { distance, time: base.time[near], low: base.low[near], high: base.high[near], packet: base.packet[near], name: each.name };
        }
      }
      return best;
    }

    tell(at) {
      const mark = this.nearest(at);
      if (!mark) return null;
      const value = (each) => (each / this.unit).toLocaleString("en", { maximumFractionDigits: 6 });
      const range = mark.low === mark.high ? value(mark.low) : `${value(mark.low)} – ${value(mark.high)}`;
      const packet = mark.packet ? `, ${data.words.packet} ${mark.packet}` : "";
      this.output.textContent = `${mark.name}: ${(mark.time / 1e9).toFixed(6)} s, ${range}${packet}`;
      return mark.packet || null;
    }
  }

  function show(from, to) {
    const least = (all.to - all.from) / 1e7 || 1;
    if (to - from < least) { const middle = (from + to) / 2; from = middle - least / 2; to = middle + least / 2; }
    view.from = Math.max(from, all.from);
    view.to = Math.min(Math.max(to, view.from + least), all.to > view.from ? all.to : view.from + least);
    for (const plot of plots) plot.draw();
  }

  function zoom(factor, middle = (view.from + view.to) / 2) {
    show(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
  }

  const segments = [...document.querySelectorAll("svg [data-packet]")];
  const times = new Map();

  // When a packet passed the point of capture: its own mark, or that of the packet before it.
  function timeOf(packet) {
    if (!times.size) {
      for (const plot of plots) for (const { levels: [base] } of plot.series) base.packet.forEach((each, at) => times.set(each, base.time[at]));
      times.delete(0);
    }
    for (let at = packet; at > 0; at--) if (times.has(at)) return times.get(at);
    return all.from;
  }

  function choose(packet) {
    view.chosen = packet === null ? null : timeOf(packet);
    for (const each of segments) each.classList.toggle("chosen", Number(each.dataset.packet) === packet);
    const width = view.to - view.from;
    const away = view.chosen !== null && (view.chosen < view.from || view.chosen > view.to);
    show(away ? view.chosen - width / 2 : view.from, away ? view.chosen + width / 2 : view.to);
  }

  function reveal(packet) {
    choose(packet);
    const segment = segments.find((each) => Number(each.dataset.packet) === packet);
    if (!segment) return;
    const fold = segment.closest("details");
    if (fold) fold.open = true;
    segment.scrollIntoView({ block: "center" });
  }

  for (const canvas of document.querySelectorAll("canvas[data-plot]")) {
    const plot = new Plot(canvas, data.plots[canvas.dataset.plot]);
    plots.push(plot);
    const time = (at) => view.from + (at - LEFT) * (view.to - view.from) / (canvas.clientWidth - LEFT - RIGHT);
    let start = null;
    canvas.addEventListener("pointerdown", (event) => { start = event.offsetX; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => plot.tell(event.offsetX));
    canvas.addEventListener("pointerup", (event) => {
      const [first, last] = [start, event.offsetX].sort((a, b) => a - b);
      if (start !== null && last - first > 4) show(time(first), time(last));
      else if (start !== null && segments.length) reveal(plot.tell(event.offsetX));
      start = null;
    });
    canvas.addEventListener("dblclick", () => show(all.from, all.to));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.5 : 1 / 1.5, time(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const width = view.to - view.from;
      const step = { ArrowLeft: -width / 4, ArrowRight: width / 4 }[event.key];
      if (step) show(Math.max(view.from + step, all.from), Math.min(view.to + step, all.to));
      else if (event.key === "+") zoom(0.5);
      else if (event.key === "-") zoom(2);
      else if (event.key === "0") show(all.from, all.to);
      else if (event.key === "Enter" && segments.length) return reveal(plot.tell(canvas.clientWidth / 2));
      else if (event.key === "Escape") choose(null);
      else return;
      event.preventDefault();
      plot.tell(canvas.clientWidth / 2);
    });
  }
  for (const button of document.querySelectorAll("button[data-packet]")) {
    const packet = Number(button.dataset.packet);
    findings.push({ time: timeOf(packet) });
    button.addEventListener("click", () => choose(packet));
  }
  for (const segment of segments) {
    const back = () => {
      choose(Number(segment.dataset.packet));
      document.querySelector("figure.plot").scrollIntoView({ block: "start" });
    };
    segment.addEventListener("click", back);
    segment.addEventListener("keydown", (event) => { if (event.key === "Enter") back(); });
  }
  window.addEventListener("resize", () => show(view.from, view.to));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(view.from, view.to));
  show(all.from, all.to);
  window.curves = { view, show, plots, findings };
})();
