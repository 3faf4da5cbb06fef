// What becomes of a packet: the form, the answer, and the picture.

import { ask } from "./agent.js";
import { byId, heading, make, tell } from "./dom.js";

/** A picture that does not fit is shown smaller, but no smaller than this, where its text can just be read. */
const SMALLEST = 0.7;

/** How many outcomes are listed and told step by step. */
const OUTCOMES = 100;

const COLUMNS = [
  { title: "Probability", number: true, text: ({ fraction, probability }) => `${percentage(fraction)} (${probability})` },
  { title: "Outcome", text: fate },
  { title: "Destination", code: true, text: ({ destination }) => destination ?? "" },
  { title: "Pod", text: ({ pod }) => pod ?? "" },
  { title: "Service port", text: ({ service }) => service ?? "" },
  { title: "Remarks", text: remarks },
];

/** The steps that are told, in the command's words; what a rule does is in its own words already. */
const STEPS = {
  chain: ({ chain, text }) => `${chain}: ${text}`,
  rule: ({ text, comment }) => comment === null || text.includes(comment) ? text : `${text} comment "${comment}"`,
  element: ({ set, text }) => `${set} has ${text}`,
  update: ({ set, text }) => `${set} gets ${text}`,
  route: ({ text }) => `routed to ${text}`,
};

/** The form and its answer. */
export class TraceView {
  #form = byId("trace-form");
  #answer = byId("trace-answer");
  #asking = new AbortController();
  #asked = null;

  constructor() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const hash = `#/trace?${this.#question()}`;
      if (location.hash === hash) this.show(new URLSearchParams(this.#question()), true);
      else location.hash = hash;
    });
  }

  /** Shows a question, and asks it where it is whole and new, or `again`. */
  show(question, again = false) {
    if (question.size === 0) return;
    const { protocol, source, destination, interface: name, fromHost } = this.#form.elements;
    protocol.value = question.get("protocol") ?? "tcp";
    fromHost.checked = question.get("fromHost") === "true";
    const fields = { source, destination, interface: name };
    for (const field of Object.keys(fields)) fields[field].value = question.get(field) ?? "";
    const missing = [source, destination].find(({ value }) => value === "");
    if (missing !== undefined) missing.focus();
    else if (this.#asked !== this.#question() || again) this.#ask(this.#question());
  }

  #question() {
    const given = [...new FormData(this.#form)].filter(([, value]) => value.trim() !== "");
    return new URLSearchParams(given.map(([name, value]) => [name, value.trim()])).toString();
  }

  async #ask(question) {
    this.#asked = question;
    this.#asking.abort();
    this.#asking = new AbortController();
    const button = this.#form.querySelector("button");
    button.disabled = true;
    this.#answer.setAttribute("aria-busy", "true");
    tell(byId("trace-message"), null);
    try {
      const told = await ask(`/v1/trace?${question}`, this.#asking.signal);
      this.#answer.replaceChildren(...describe(told));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#answer.replaceChildren();
      tell(byId("trace-message"), error.message);
    }
    button.disabled = false;
    this.#answer.removeAttribute("aria-busy");
  }
}

function describe({ packet, reason, notes, outcomes, picture }) {
  const shown = outcomes.slice(0, OUTCOMES);
  const rest = outcomes.length - shown.length;
  return [
    make("h2", { class: "code" }, `${packet.protocol} ${packet.source} → ${packet.destination}`),
    make("p", { class: "reason" }, `${reason}.`),
    make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, `${note}.`))),
    drawing(picture),
    make("h3", { id: "outcomes-heading" }, "Outcomes"),
    make("div", { class: "scroll" }, make("table", { "aria-labelledby": "outcomes-heading" },
      make("thead", {}, heading(COLUMNS)),
      make("tbody", {}, ...shown.map(row)))),
    rest > 0 ? make("p", { class: "hint" }, `and ${rest} more`) : "",
    make("h3", {}, "Step by step"),
    ...shown.map(way),
  ];
}

function row(outcome) {
  return make("tr", {}, ...COLUMNS.map(({ text, number, code }, index) => make("td", {
    class: index === 1 ? (outcome.fate === "delivered" ? "good" : "bad") : number ? "number" : code ? "code" : null,
  }, text(outcome))));
}

function percentage(fraction) {
  return `${(fraction * 100).toFixed(fraction === 1 ? 0 : 2)} %`;
}

function fate({ fate, hook, told, to }) {
  if (fate === "delivered") return to === "host" ? "delivered to this host" : "delivered to the network";
  return told === null ? `${fate} at ${hook}` : `${fate} at ${hook} with ${told}`;
}

function remarks({ fate, dnat, masqueraded, remembered }) {
  const all = [];
  if (fate === "delivered" && !dnat) all.push("destination unchanged");
  if (masqueraded) all.push("masqueraded");
  for (const { map, seconds } of remembered) all.push(`remembered in ${map} for ${seconds} s`);
  return all.join(", ");
}

function way(outcome) {
  const to = outcome.destination === null ? fate(outcome) : outcome.destination + (outcome.pod ? ` (${outcome.pod})` : "");
  const steps = outcome.path.filter(({ step }) => STEPS[step] !== undefined).map((step) => {
    const item = make("li", {}, STEPS[step.step](step));
    item.style.paddingInlineStart = `${step.depth * 1.5}em`;
    return item;
  });
  return make("details", {}, make("summary", {}, `${percentage(outcome.fraction)} → ${to}`), make("ol", { class: "way code" }, ...steps));
}

/** The picture, as large as it can be read, with a choice. */
function drawing(text) {
  const svg = parse(text);
  const [width, height] = ["width", "height"].map((name) => Number(svg.getAttribute(name)));
  const canvas = make("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": "The ways of the packet" }, svg);
  const fit = make("input", { type: "checkbox" });
  const resize = () => {
    const scale = fit.checked ? Math.min(1, canvas.clientWidth / width) : 1;
    svg.style.width = `${width * scale}px`;
    svg.style.height = `${height * scale}px`;
  };
  fit.addEventListener("change", resize);
  new ResizeObserver(resize).observe(canvas);
  requestAnimationFrame(() => {
    fit.checked = canvas.clientWidth >= width * SMALLEST;
    resize();
  });
  return make("figure", {},
    make("figcaption", {}, "The ways of the packet; a box tells its rule when it is pointed at.",
      make("label", { class: "check" }, fit, " fit to the window")),
    canvas);
}

/** The agent's picture as an element. Its own style for dark colours becomes the page's: style in a page itself is forbidden. */
function parse(text) {
  const style = /<style>([^<]*)<\/style>/.exec(text);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style?.[1] ?? "");
  document.adoptedStyleSheets = [sheet];
  const picture = new DOMParser().parseFromString(text.replace(style?.[0] ?? "", ""), "image/svg+xml");
  return document.importNode(picture.documentElement, true);
}
