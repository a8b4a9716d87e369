"use strict";
// Plots with one common span of time: drag to zoom, double-click or 0 to see all, + - and arrow keys, wheel with Ctrl.
// Each kind of marks has levels; one mark of a level stands for four of the level below, with their least and greatest value.
(() => {
  const data = JSON.parse(document.querySelector("#curves").textContent);
  const plots = [];
  const all = { from: Infinity, to: -Infinity };
  const view = { from: 0, to: 1 };
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
      if (!(high > low)) { high = (low === Infinity ? 0 : low) + 1; low = low === Infinity ? 0 : low; }
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
      for (const value of ticks(view.from / 1e9, view.to / 1e9, 8)) pen.fillText(String(value), x(value * 1e9), height - 6);
      pen.save();
      pen.beginPath(); pen.rect(LEFT, 0, width - LEFT - RIGHT, height - BOTTOM + 2); pen.clip();
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
            if (last - first < 400) pen.fillText(each.letter, Math.max(left, LEFT + pen.measureText(each.letter).width / 2), upper - 4);
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
      if (!mark) return;
      const value = (each) => (each / this.unit).toLocaleString("en", { maximumFractionDigits: 6 });
      const range = mark.low === mark.high ? value(mark.low) : `${value(mark.low)} – ${value(mark.high)}`;
      const packet = mark.packet ? `, ${data.words.packet} ${mark.packet}` : "";
      this.output.textContent = `${mark.name}: ${(mark.time / 1e9).toFixed(6)} s, ${range}${packet}`;
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
      else return;
      event.preventDefault();
      plot.tell(canvas.clientWidth / 2);
    });
  }
  window.addEventListener("resize", () => show(view.from, view.to));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(view.from, view.to));
  show(all.from, all.to);
  window.curves = { view, show, plots };
})();
