// The value of every series at the time that is pointed at, or reached with the arrow keys.
for (const figure of document.querySelectorAll("figure")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), read = figure.querySelector(".read");
  const [left, right] = svg.dataset.x.split(" ").map(Number);
  const first = data.times[0], span = data.times[data.times.length - 1] - first || 1;
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
  cursor.setAttribute("class", "cursor");
  svg.append(cursor);
  let place = 0;
  const format = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const show = (at) => {
    place = Math.max(0, Math.min(data.times.length - 1, at));
    const x = left + (data.times[place] - first) / span * (right - left);
    cursor.setAttribute("d", `M${x} 24V226`);
    const values = data.series.map(({ name, values }) =>
      `${name} ${values[place] === null ? "not measured" : format.format(values[place])}`);
    read.textContent = `${format.format(data.times[place])} s: ${values.join(", ")} (${data.unit})`;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const at = first + (x - left) / (right - left) * span;
    let nearest = 0;
    data.times.forEach((time, number) => {
      if (Math.abs(time - at) < Math.abs(data.times[nearest] - at)) nearest = number;
    });
    show(nearest);
  });
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); show(place + step); }
  });
}
