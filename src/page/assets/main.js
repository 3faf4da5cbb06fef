// The page: which view is shown, and what the agent tells all of them.

import { Watch, ask, repeat } from "./agent.js";
import { Connections } from "./connections.js";
import { byId } from "./dom.js";
import { ServiceView } from "./service.js";
import { Services } from "./services.js";
import { showNoStatus, showStatus } from "./status.js";
import { ServicesTable } from "./table.js";
import { TraceView } from "./trace.js";

/** How often the status is asked for, in milliseconds. */
const STATUS = 3000;

const services = new Services();
const connections = new Connections(() => table.draw());
const table = new ServicesTable(services, connections);
const service = new ServiceView(services);
const trace = new TraceView();

services.onChange((names) => {
  table.draw(names ?? []);
  service.draw(names);
  if (names === null) live("live", true);
});

const watch = new Watch({
  began: () => services.begin(),
  told: (events) => services.tell(events),
  lost: (error) => live(`not live: ${error.message}`, false),
});

let answers = true;
repeat(STATUS, async () => {
  try {
    showStatus(await ask("/v1/status"));
    // A way that is cut may not be noticed by who only listens.
    if (!answers) watch.restart();
    answers = true;
  } catch (error) {
    showNoStatus(error);
    live("not live", false);
    answers = false;
  }
});

/** Says whether what is shown follows what happens. */
function live(text, isLive) {
  const place = byId("live");
  place.className = isLive ? "live" : "live lost";
  if (place.textContent !== text) place.textContent = text;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Shows what the address asks for. */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, namespace, name] = path.split("/").map(decode);
  const shown = view === "services" && name ? "service" : ["trace", "status"].includes(view) ? view : "services";
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    const isCurrent = link.hash === `#/${shown === "service" ? "services" : shown}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown === "service") service.show(`${namespace}/${name}`);
  else service.hide();
  if (shown === "trace") trace.show(new URLSearchParams(query));
}

addEventListener("hashchange", route);
route();
