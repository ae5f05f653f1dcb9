// One board at a time; values at the moment that is pointed at; and, where it is served, itself anew.
const root = document.documentElement, times = JSON.parse(document.getElementById("times").textContent);
const moment = document.createElement("p");
moment.id = "moment"; moment.hidden = true; document.body.append(moment);

const pick = () => {
  let asked = "";
  try { asked = decodeURIComponent(location.hash.slice(1)); } catch { /* somebody's typing */ }
  const boards = [...document.querySelectorAll("section.board")];
  const board = boards.find((one) => one.dataset.board === asked.split("/")[0]) ?? boards[0];
  root.classList.add("picking");
  root.classList.toggle("elsewhere", board !== boards[0]);  // what is past a limit is said in full on the first
  for (const one of document.querySelectorAll("section.board, nav a")) {
    const here = one.dataset.board === board?.dataset.board;
    one.classList.toggle("here", here);
    if (one.tagName === "A") here ? one.setAttribute("aria-current", "page") : one.removeAttribute("aria-current");
  }
  document.getElementById(asked)?.scrollIntoView({ block: "center" });
  if (!asked.includes("/")) scrollTo(0, 0);
};

const values = (figure) => figure.values ??= JSON.parse(figure.querySelector("script")?.textContent ?? "[]");
let place = null, reading = null;
const show = (figure, at) => {
  place = Math.max(0, Math.min(times.length - 1, at));
  reading = figure;
  const board = figure.closest("section");
  board.classList.add("reading");
  board.style.setProperty("--at", `${100 * place / (times.length - 1)}%`);
  moment.textContent = `${times[place]} UTC`;
  moment.hidden = false;
  for (const one of board.querySelectorAll("figure:has([data-v])")) {
    for (const value of one.querySelectorAll("[data-v]")) {
      value.last ??= value.textContent;
      value.textContent = values(one)[value.dataset.v]?.[place] ?? "–";
    }
  }
};
const rest = () => {
  if (!reading) return;
  const board = reading.closest("section");
  board?.classList.remove("reading");
  moment.hidden = true; reading = null; place = null;
  for (const value of board?.querySelectorAll("[data-v]") ?? []) value.textContent = value.last ?? value.textContent;
};
document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.(".plot");
  if (!plot) { if (event.pointerType === "mouse" && !document.activeElement?.closest("figure")) rest(); return; }
  const box = plot.getBoundingClientRect();
  show(plot.closest("figure"), Math.round((event.clientX - box.left) / box.width * (times.length - 1)));
});
document.addEventListener("pointerdown", (event) => {
  const plot = event.target.closest?.(".plot");
  if (!plot) return rest();
  const box = plot.getBoundingClientRect();
  show(plot.closest("figure"), Math.round((event.clientX - box.left) / box.width * (times.length - 1)));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { rest(); for (const open of document.querySelectorAll("details[open]")) open.open = false; }
  const figure = document.activeElement?.closest("figure"), step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (figure && step) { event.preventDefault(); show(figure, (place ?? times.length) + step); }
});
document.addEventListener("toggle", (event) => {
  if (event.target.open) for (const one of document.querySelectorAll("details[open]")) if (one !== event.target) one.open = false;
}, true);
addEventListener("hashchange", pick);
pick();

const every = Number(root.dataset.refresh);
if (every) {
  let seen = Date.now();
  const live = () => document.querySelector(".live");
  const told = (fine, text) => { live().className = `live ${fine ? "on" : "off"}`; live().textContent = text; };
  told(true, `every ${every} s`);
  const renew = async () => {
    if (document.hidden || reading || document.querySelector("details[open]")) return;
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) throw new Error((await answer.text()).slice(0, 200));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const x = scrollX, y = scrollY, focus = document.activeElement?.id;
      for (const part of ["#top", "#nav", "main"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
      times.splice(0, times.length, ...JSON.parse(fresh.getElementById("times").textContent));
      document.title = fresh.title;
      pick(); scrollTo(x, y); if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
      seen = Date.now(); told(true, `every ${every} s`);
    } catch (error) {
      told(false, `not renewed for ${Math.round((Date.now() - seen) / 1000)} s: ${error.message}`);
    }
  };
  setInterval(renew, every * 1000);
  document.addEventListener("visibilitychange", renew);
}
