// A draft of a community's policy: what it would flag of a sample, before it is live.

import { $, ask, element, showError, titleOf } from "./api.js";
import { parseCsv, textColumnOf } from "./csv.js";

const MOST_TEXTS = 1000; // what the service takes in one request, unless it is configured otherwise
const SHOWN_CHANGES = 20;

const linesOf = (text) => text.split(/\r?\n/).filter((line) => line.trim());
const comments = (count) => `${count.toLocaleString()} ${count === 1 ? "comment" : "comments"}`;

function commentsOf(name, text) {
  if (!name.toLowerCase().endsWith(".csv")) return linesOf(text);
  const [header = [], ...rows] = parseCsv(text.replace(/^\ufeff/, ""));
  const column = textColumnOf(header);
  if (column < 0) throw new Error("The file's first line names no column of texts, such as content.");
  return rows.map((row) => row[column] || "").filter((cell) => cell.trim());
}

$("sample-file").addEventListener("change", async () => {
  const [file] = $("sample-file").files;
  if (!file) return;
  showError($("policy-error"), "");
  try {
    const found = commentsOf(file.name, await file.text());
    // A line per comment: its own line breaks change no score that matters here.
    $("sample").value = found.slice(0, MOST_TEXTS).map((comment) => comment.replace(/\s*\n\s*/g, " ")).join("\n");
  } catch (error) {
    showError($("policy-error"), error.message);
  }
});

function labelRow([name, label]) {
  const row = element("tr");
  const head = element("th", "", titleOf(name));
  head.scope = "row";
  const threshold = label.threshold === undefined ? "none" : label.threshold.toFixed(3);
  const cells = [threshold, label.model, label.policy, label.by_list];
  row.append(head, ...cells.map((cell) => element("td", "number", cell.toLocaleString())));
  return row;
}

function show(answer, texts) {
  const share = ((100 * answer.flagged_by_policy) / answer.texts).toFixed(1);
  $("policy-summary").textContent =
    `${answer.policy} would flag ${answer.flagged_by_policy.toLocaleString()} of ${comments(answer.texts)} ` +
    `(${share} %); without a policy, version ${answer.model_version} flags ` +
    `${answer.flagged_by_model.toLocaleString()}.`;
  $("policy-result").querySelector("tbody").replaceChildren(...Object.entries(answer.labels).map(labelRow));
  const changed = answer.results
    .map((result, index) => [result, texts[index]])
    .filter(([result]) => result.model !== result.policy);
  $("policy-changes").replaceChildren(
    ...changed.slice(0, SHOWN_CHANGES).map(([result, text]) => {
      const by = result.decided_by === "list" ? ", by a list" : "";
      return element("li", "", `${result.policy ? "⚑ flagged now" : "no longer flagged"}${by}: ${text}`);
    }),
  );
  $("policy-result").hidden = false;
}

$("policy-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const texts = linesOf($("sample").value).slice(0, MOST_TEXTS);
  $("preview").disabled = true;
  $("policy-result").hidden = true;
  $("policy-summary").textContent = "Scoring the sample…";
  showError($("policy-error"), "");
  try {
    const request = { policies: $("draft").value, texts };
    show(await (await ask("/policies/preview", { method: "POST", json: request })).json(), texts);
  } catch (error) {
    $("policy-summary").textContent = "";
    showError($("policy-error"), error.message);
  } finally {
    $("preview").disabled = false;
  }
});
