"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const time = content.time;
  const last = time.length - 1;
  const span = time[last] || 1;
  const find = (selector) => document.querySelector(selector);
  const element = (kind, attributes = {}, text = "") => {
    const made = document.createElement(kind);
    Object.assign(made, attributes);
    if (text) made.textContent = text;
    return made;
  };

  // cameras: an image for each step, or for every so many
  const films = [...document.querySelectorAll(".cameras img")].map((img) => {
    const script = [...document.querySelectorAll("script.film")].find((one) => one.dataset.role === img.dataset.role);
    return { img, every: Number(img.dataset.every), images: JSON.parse(script.textContent), shown: -1 };
  });

  // the step whose time is nearest
  const stepAt = (seconds) => {
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (time[middle] <= seconds) low = middle; else high = middle;
    }
    return seconds - time[low] <= time[high] - seconds ? low : high;
  };
  const percent = (seconds) => `${(100 * seconds) / span}%`;

  // what moves with the step
  let step = 0;
  const followers = [];
  const show = (wanted) => {
    step = Math.max(0, Math.min(last, wanted));
    for (const film of films) {
      const index = Math.min(Math.floor(step / film.every), film.images.length - 1);
      if (index !== film.shown) {
        film.img.src = `data:image/jpeg;base64,${film.images[index]}`;
        film.shown = index;
      }
    }
    for (const follow of followers) follow(step);
  };

  // a place that one drags on to move through time
  const draggable = (area) => {
    const move = (event) => {
      const box = area.getBoundingClientRect();
      show(stepAt(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * span));
    };
    area.addEventListener("pointerdown", (event) => {
      pause();
      area.setPointerCapture(event.pointerId);
      move(event);
    });
    area.addEventListener("pointermove", (event) => {
      if (area.hasPointerCapture(event.pointerId)) move(event);
    });
  };

  // time line: prompts, end steps, gaps, marked steps, where a policy drove
  const timeline = find(".timeline"), lane = find(".lane"), knob = find(".knob");
  const prompts = content.promptIndex;
  for (let from = 0; from <= last; ) {
    let to = from;
    while (to < last && prompts[to + 1] === prompts[from]) to++;
    const end = to < last ? time[to + 1] : span;
    const part = element("div", { className: prompts[from] % 2 ? "part odd" : "part", title: content.prompts[prompts[from]] });
    part.style.left = percent(time[from]);
    part.style.width = percent(end - time[from]);
    if (content.prompts.length > 1) part.textContent = content.prompts[prompts[from]];
    lane.append(part);
    from = to + 1;
  }
  const firstEnd = time.length - content.endSteps;
  if (content.endSteps) {
    const part = element("div", { className: "end", title: `${content.endSteps} end steps` });
    part.style.width = percent(span - time[Math.max(0, firstEnd - 1)]);
    lane.append(part);
  }
  const tick = (index, kind, title) => {
    const made = element("div", { className: `tick ${kind}`, title });
    made.style.left = percent(time[index]);
    timeline.append(made);
  };
  for (const [index, seconds] of content.gaps) tick(index, "gap", `${(1e3 * seconds).toFixed(0)} ms before step ${index}`);
  const markedAt = {};
  for (const [name, rows] of Object.entries(content.marked)) {
    for (const index of rows) (markedAt[index] = markedAt[index] || []).push(name);
  }
  for (const [index, names] of Object.entries(markedAt)) tick(Number(index), "marked", `too old at step ${index}: ${names.join(", ")}`);
  for (const [from, to] of content.drives) {
    const made = element("div", { className: "drives", title: `a policy drives from step ${from} to ${to}` });
    made.style.left = percent(time[from]);
    made.style.width = percent((to < last ? time[to + 1] : span) - time[from]);
    timeline.append(made);
  }
  draggable(timeline);
  const prompt = find(".prompt"), where = find(".where");
  followers.push((index) => {
    knob.style.left = percent(time[index]);
    timeline.setAttribute("aria-valuenow", index);
    prompt.textContent = content.prompts[prompts[index]] || "\u00a0";
    const remarks = index >= firstEnd ? ["end step"] : [];
    if (content.drives.some(([from, to]) => from <= index && index <= to)) remarks.push("a policy drives");
    if (markedAt[index]) remarks.push(`too old: ${markedAt[index].join(", ")}`);
    if (remarks.length) prompt.append(element("span", { className: "ended" }, ` (${remarks.join("; ")})`));
    where.replaceChildren(
      element("b", {}, `${time[index].toFixed(2)} s`), ` of ${span.toFixed(2)} s, step `, element("b", {}, String(index)), ` of ${last}`);
  });

  // plots
  const SVG = "http://www.w3.org/2000/svg";
  const svg = (kind, attributes) => {
    const made = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const nice = (range, count) => {
    const rough = range / count, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  };
  const LEAST = { rad: 0.02, m: 0.002, ms: 1, "rad/s": 0.02, "m/s": 0.002, Nm: 0.1, N: 0.1 };  // so that what rests looks so
  const limits = (series, unit) => {
    let low = Infinity, high = -Infinity;
    for (const one of series) for (const value of one.values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
    if (low > high) return [0, 1];
    const pad = Math.max(0.06 * (high - low), ((LEAST[unit] || 0.01) - (high - low)) / 2);
    return [low - pad, high + pad];
  };
  const text = (value) => {
    if (value === null || value === undefined) return "none";
    const size = Math.abs(value);
    return size >= 1e4 || (size > 0 && size < 1e-3) ? value.toExponential(1) : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 3);
  };

  const drawPlot = (plot) => {
    const figure = element("figure", { className: plot.wide ? "plot wide" : "plot" });
    const caption = element("figcaption");
    if (plot.title) caption.append(element("b", {}, plot.title));
    caption.append(element("span", { className: "unit" }, `[${plot.unit}]`));
    const grid = element("div", { className: "grid" }), scale = element("div", { className: "scale" });
    const area = element("div", { className: "area" }), times = element("div", { className: "times" });
    const drawing = svg("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none" });
    const [low, high] = limits(plot.series, plot.unit);
    const y = (value) => 100 - (100 * (value - low)) / (high - low);
    const every = nice(high - low, 4);
    const digits = Math.max(0, Math.min(4, -Math.floor(Math.log10(every)) + (String(every).includes("25") ? 1 : 0)));
    for (let value = Math.ceil(low / every) * every; value <= high; value += every) {
      drawing.append(svg("line", { x1: 0, x2: 1000, y1: y(value), y2: y(value) }));
      const label = element("span", {}, (Math.abs(value) < every / 1e6 ? 0 : value).toFixed(digits));
      label.style.top = `${y(value)}%`;
      scale.append(label);
    }
    const beat = nice(span, plot.wide ? 12 : 5);
    for (let value = 0; value <= span * 1.0001; value += beat) {
      drawing.append(svg("line", { x1: (1000 * value) / span, x2: (1000 * value) / span, y1: 0, y2: 100 }));
      const label = element("span", {}, `${Number(value.toFixed(3))}${value === 0 ? " s" : ""}`);
      label.style.left = percent(value);
      times.append(label);
    }
    const shown = plot.series.map((one, index) => drawSeries(one, index, drawing, caption, y));
    const cursor = element("div", { className: "cursor" });
    area.append(drawing, cursor);
    grid.append(scale, area, times);
    figure.append(caption, grid);
    draggable(area);
    followers.push((index) => {
      cursor.style.left = percent(time[index]);
      for (const follow of shown) follow(index);
    });
    return figure;
  };

  const drawSeries = (one, index, drawing, caption, y) => {
    const color = one.role ? `var(--${one.role})` : `var(--series-${index % 8})`;
    const at = one.time || time;
    const lines = [];
    let points = [];
    one.values.forEach((value, k) => {
      if (value !== null) points.push(`${((1000 * at[k]) / span).toFixed(1)},${y(value).toFixed(2)}`);
      if ((value === null || k === one.values.length - 1) && points.length) { lines.push(points); points = []; }
    });
    const drawn = lines.map((line) => svg("polyline", { points: line.join(" "), class: one.role || "", style: `stroke:${color}` }));
    drawing.append(...drawn);
    const now = element("span", { className: "now" }), value = element("b"), mark = element("i");
    mark.style.background = color;
    now.append(mark, one.name, value);
    now.addEventListener("click", () => {
      const off = now.classList.toggle("off");
      for (const line of drawn) line.style.display = off ? "none" : "";
    });
    caption.append(now);
    return (k) => {
      let here = k;
      if (one.time) { here = 0; while (here < at.length - 1 && at[here + 1] <= time[k]) here++; }
      value.textContent = text(one.values[here]);
    };
  };

  for (const section of content.sections) {
    const made = element("section");
    made.append(element("h2", {}, section.title));
    const plots = element("div", { className: "plots" });
    plots.append(...section.plots.map(drawPlot));
    made.append(plots);
    find(".sections").append(made);
  }

  // playing
  const play = find(".play"), speed = find(".speed");
  let playing = null;
  const pause = () => {
    if (playing !== null) cancelAnimationFrame(playing.frame);
    playing = null;
    play.textContent = "Play";
  };
  const start = () => {
    if (step === last) show(0);
    play.textContent = "Pause";
    playing = { at: time[step], since: performance.now(), frame: 0 };
    const turn = (now) => {
      if (playing === null) return;
      const seconds = playing.at + ((now - playing.since) / 1e3) * Number(speed.value);
      const wanted = stepAt(Math.min(seconds, span));
      if (wanted !== step) show(wanted);
      if (seconds >= span) { pause(); return; }
      playing.frame = requestAnimationFrame(turn);
    };
    playing.frame = requestAnimationFrame(turn);
  };
  const toggle = () => (playing === null ? start() : pause());
  play.addEventListener("click", toggle);
  speed.addEventListener("change", () => { if (playing !== null) { pause(); start(); } });
  const walk = (count) => { pause(); show(step + count); };
  find(".back").addEventListener("click", () => walk(-1));
  find(".ahead").addEventListener("click", () => walk(1));
  addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 10 : 1;
    const keys = { ArrowLeft: () => walk(-far), ArrowRight: () => walk(far), Home: () => walk(-last), End: () => walk(last), " ": toggle };
    if (!(event.key in keys)) return;
    event.preventDefault();
    if (event.key === " " && document.activeElement !== document.body) document.activeElement.blur();
    keys[event.key]();
  });

  // "#120" in the address: begin at that step
  show(Number(location.hash.slice(1)) || 0);
})();
