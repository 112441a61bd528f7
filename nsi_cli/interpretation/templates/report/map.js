// The map of slots: dots for slots, diamonds for primitives, coloured by a property.
{
  const map = JSON.parse(document.getElementById("map-data").textContent);
  const canvas = document.getElementById("map-canvas");
  const hover = document.getElementById("map-hover");
  const legend = document.getElementById("map-legend");
  const pickColour = document.getElementById("map-colour");
  const pickProjection = document.getElementById("map-projection");
  const palette = [...document.querySelectorAll(".ribbon i")].map((part) => part.style.background);
  const scale = ["#00224e", "#1d3a6d", "#434e6c", "#61646f", "#7f7c75", "#a09974", "#c3b369", "#fee838"];
  const none = "#9a9da566";
  const margin = 14;
  let points = [];
  let nearest = null;

  const fill = (select, names) => select?.append(...names.map((name) => new Option(name, name)));
  fill(pickColour, map.colours.map((colour) => colour.name));
  fill(pickProjection, Object.keys(map.projections));
  const colouring = () => map.colours[pickColour.selectedIndex];
  const colourOf = (colour, value) =>
    value < 0 ? none : colour.range ? scale[value] : palette[value % palette.length];

  const mark = (context, point, isSlot, size) => {
    context.beginPath();
    if (isSlot) context.arc(point[0], point[1], size, 0, 7);
    else {
      context.moveTo(point[0], point[1] - 1.7 * size);
      context.lineTo(point[0] + 1.7 * size, point[1]);
      context.lineTo(point[0], point[1] + 1.7 * size);
      context.lineTo(point[0] - 1.7 * size, point[1]);
      context.closePath();
    }
  };

  const draw = () => {
    const { width, height } = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const name = pickProjection?.value ?? Object.keys(map.projections)[0];
    points = map.projections[name].map(([x, y]) => [
      margin + x * (width - 2 * margin), margin + (1 - y) * (height - 2 * margin),
    ]);
    const colour = colouring();
    const order = points.map((_, number) => number).sort((a, b) => (colour?.of[a] < 0 ? 0 : 1) - (colour?.of[b] < 0 ? 0 : 1));
    const ink = getComputedStyle(document.body).color;
    for (const number of order) {
      const isSlot = number < map.slots;
      mark(context, points[number], isSlot, 2.4);
      context.fillStyle = colour ? colourOf(colour, colour.of[number]) : none;
      context.fill();
      if (!isSlot) { context.strokeStyle = ink; context.lineWidth = 0.7; context.stroke(); }
    }
    if (nearest !== null) {
      mark(context, points[nearest], nearest < map.slots, 6);
      context.strokeStyle = ink; context.lineWidth = 2; context.stroke();
    }
  };

  const explain = () => {
    const colour = colouring();
    legend.replaceChildren();
    if (!colour) return;
    const entry = (background, text) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.background = background;
      item.append(swatch, text);
      legend.append(item);
    };
    if (colour.range) {
      entry(`linear-gradient(90deg, ${scale.join(",")})`, `${colour.range[0]} to ${colour.range[1]}`);
      legend.firstChild.classList.add("wide");
    } else colour.values.forEach((value, number) => entry(palette[number % palette.length], value));
    entry(none, "no object");
  };

  const show = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = 15 ** 2, found = null;
    points.forEach((point, number) => {
      const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
      if (distance < best) { best = distance; found = number; }
    });
    if (found === nearest) return;
    nearest = found;
    draw();
    hover.hidden = found === null;
    if (found === null) return;
    const isSlot = found < map.slots;
    const scene = isSlot ? Math.floor(found / map.perScene) : map.sceneOfPrimitive[found - map.slots];
    const tile = hover.firstElementChild;
    tile.hidden = !isSlot;
    tile.style.backgroundSize = `${100 * map.columns}%`;
    tile.style.backgroundPosition = `${-96 * (found % map.columns)}px ${-96 * Math.floor(found / map.columns)}px`;
    const title = isSlot ? `slot ${(found % map.perScene) + 1}` : "primitive";
    hover.lastElementChild.textContent = `${title} · ${map.objects[found] || "no object"} · ${map.scenes[scene]}`;
    const [left, top] = points[found];
    hover.style.left = `${Math.min(Math.max(0, left + 14), Math.max(0, box.width - hover.offsetWidth))}px`;
    hover.style.top = `${Math.min(top + 14, Math.max(0, box.height - hover.offsetHeight))}px`;
  };

  pickColour.addEventListener("change", () => { explain(); draw(); });
  pickProjection?.addEventListener("change", draw);
  canvas.addEventListener("pointermove", show);
  canvas.addEventListener("pointerleave", () => { nearest = null; hover.hidden = true; draw(); });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  explain();
  draw();
}
