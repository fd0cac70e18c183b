// The scored rows: sorted, filtered, searched, and counted in a histogram.

import { $, element, languageName, titleOf } from "./api.js";
import { textColumnOf } from "./csv.js";

const ROWS_AT_ONCE = 50;
const BINS = 20;
const SVG = "http://www.w3.org/2000/svg";

let labels = [];
let rows = [];
let order = { key: "line", falling: false };
let limit = ROWS_AT_ONCE;

// The service appends score_… and decision_… per label; the file may have had columns of such names before.
function labelsOf(header) {
  const found = [];
  let at = header.lastIndexOf("truncated") - 1;
  for (; header[at].startsWith("decision_"); at -= 1) found.unshift(header[at].replace("decision_", ""));
  return found;
}

function rowsOf(header, cells, chosen) {
  const text = textColumnOf(header, chosen);
  const language = header.lastIndexOf("scored_language");
  const undecided = header.lastIndexOf("low_confidence");
  const line = header.lastIndexOf("line");
  const scores = labels.map((label) => header.lastIndexOf(`score_${label}`));
  const decisions = labels.map((label) => header.lastIndexOf(`decision_${label}`));
  return cells.map((row) => ({
    line: Number(row[line]),
    text: row[text] ?? "",
    language: row[language] ?? "",
    undecided: row[undecided] === "true",
    reason: row[row.length - 1],
    scores: scores.map((at) => (row[at] === "" ? -1 : Number(row[at]))),
    flags: decisions.map((at) => row[at] === "true"),
  }));
}

const valueOf = (row, key) => (typeof key === "number" ? row.scores[key] : row[key]);

function compare(one, other) {
  const [a, b] = [valueOf(one, order.key), valueOf(other, order.key)];
  const found = typeof a === "string" ? a.localeCompare(b) : a - b;
  return (order.falling ? -found : found) || one.line - other.line;
}

const FILTERS = {
  all: () => true,
  flagged: (row) => row.flags.some(Boolean),
  clean: (row) => !row.reason && !row.undecided && !row.flags.some(Boolean),
  undecided: (row) => row.undecided && !row.flags.some(Boolean), // a policy's lists decide all the same
  rejected: (row) => Boolean(row.reason),
};

function visible() {
  const wanted = $("table-filter").value;
  const filter = FILTERS[wanted] || ((row) => row.flags[Number(wanted)]);
  const words = $("table-search").value.trim().toLocaleLowerCase();
  return rows
    .filter((row) => filter(row) && (!words || row.text.toLocaleLowerCase().includes(words)))
    .sort(compare);
}

function textCell(text) {
  const cell = element("td", "text");
  if (!text.trim()) return cell;
  // The whole text is there, and cut by the style sheet until somebody opens it.
  const whole = element("button", "whole", text);
  whole.type = "button";
  whole.setAttribute("aria-expanded", "false");
  whole.addEventListener("click", () => {
    whole.setAttribute("aria-expanded", String(whole.getAttribute("aria-expanded") === "false"));
  });
  cell.append(whole);
  return cell;
}

function rowElement(row) {
  const made = element("tr", row.reason ? "rejected" : "");
  made.append(element("td", "", String(row.line)), textCell(row.text));
  if (row.reason) {
    const cell = element("td", "reason", row.reason);
    cell.colSpan = labels.length + 1;
    made.append(cell);
    return made;
  }
  const language = row.language ? languageName(row.language) : "";
  made.append(element("td", "", FILTERS.undecided(row) ? `${language} · not decided` : language));
  row.scores.forEach((score, index) => {
    const flagged = row.flags[index];
    made.append(element("td", flagged ? "number flagged" : "number", `${flagged ? "⚑ " : ""}${score.toFixed(3)}`));
  });
  return made;
}

function render() {
  const found = visible();
  const flagged = found.filter(FILTERS.flagged).length;
  $("table-count").textContent =
    `${found.length.toLocaleString()} of ${rows.length.toLocaleString()} rows · ${flagged.toLocaleString()} flagged`;
  $("file-result").querySelector("tbody").replaceChildren(...found.slice(0, limit).map(rowElement));
  $("table-more").hidden = found.length <= limit;
  for (const head of $("file-result").querySelectorAll("th")) {
    const key = head.dataset.index === undefined ? head.dataset.key : Number(head.dataset.index);
    if (key === order.key) head.setAttribute("aria-sort", order.falling ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function headElement(name, key) {
  const head = element("th");
  head.scope = "col";
  if (typeof key === "number") head.dataset.index = String(key);
  else head.dataset.key = key;
  const button = element("button", "sort", name);
  button.type = "button";
  button.addEventListener("click", () => {
    // Scores begin with the highest, since those are looked for.
    const again = order.key === key;
    order = { key, falling: again ? !order.falling : typeof key === "number" };
    limit = ROWS_AT_ONCE;
    render();
  });
  head.append(button);
  return head;
}

function option(value, name) {
  const made = element("option", "", name);
  made.value = value;
  return made;
}

function drawHistogram() {
  const index = Number($("histogram-label").value);
  const scored = rows.filter((row) => !row.reason);
  const counts = new Array(BINS).fill(0);
  for (const row of scored) counts[Math.min(Math.floor(row.scores[index] * BINS), BINS - 1)] += 1;
  const most = Math.max(...counts, 1);
  const name = titleOf(labels[index]);
  const flagged = scored.filter((row) => row.flags[index]).length;
  const image = document.createElementNS(SVG, "svg");
  image.setAttribute("viewBox", "0 0 100 30");
  image.setAttribute("preserveAspectRatio", "none");
  image.setAttribute("role", "img");
  const above = scored.filter((row) => row.scores[index] >= 0.5).length;
  image.setAttribute(
    "aria-label", `Histogram of ${name} from 0 to 1: ${scored.length - above} rows below one half, ${above} from there on`,
  );
  counts.forEach((count, bin) => {
    const bar = document.createElementNS(SVG, "rect");
    const height = count ? Math.max((28 * count) / most, 0.8) : 0;
    const facts = { x: (100 * bin) / BINS + 0.4, width: 100 / BINS - 0.8, y: 30 - height, height };
    for (const [key, value] of Object.entries(facts)) bar.setAttribute(key, String(value));
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${(bin / BINS).toFixed(2)} to ${((bin + 1) / BINS).toFixed(2)}: ${count.toLocaleString()}`;
    bar.append(title);
    image.append(bar);
  });
  $("histogram-bars").replaceChildren(image);
  $("histogram-flagged").textContent =
    `${flagged.toLocaleString()} of ${scored.length.toLocaleString()} flagged as ${name.toLowerCase()}`;
}

export function showTable(header, cells, chosen) {
  labels = labelsOf(header);
  rows = rowsOf(header, cells, chosen);
  order = { key: "line", falling: false };
  limit = ROWS_AT_ONCE;
  const head = element("tr");
  head.append(
    headElement("Line", "line"), headElement("Text", "text"), headElement("Language", "language"),
    ...labels.map((label, index) => headElement(titleOf(label), index)),
  );
  $("file-result").querySelector("thead").replaceChildren(head);
  $("table-search").value = "";
  $("table-filter").replaceChildren(
    option("all", "all rows"), option("flagged", "flagged"), option("clean", "not flagged"),
    option("undecided", "not decided"),
    ...labels.map((label, index) => option(String(index), `flagged as ${titleOf(label).toLowerCase()}`)),
    option("rejected", "not scored"),
  );
  $("histogram-label").replaceChildren(...labels.map((label, index) => option(String(index), titleOf(label))));
  drawHistogram();
  render();
}

for (const [id, event] of [["table-filter", "change"], ["table-search", "input"]]) {
  $(id).addEventListener(event, () => { limit = ROWS_AT_ONCE; render(); });
}
$("histogram-label").addEventListener("change", drawHistogram);
$("table-more").addEventListener("click", () => { limit += ROWS_AT_ONCE; render(); });
