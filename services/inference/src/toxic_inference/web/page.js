"use strict";

const $ = (id) => document.getElementById(id);
const PREVIEW_ROWS = 12;
const PREVIEW_BYTES = 20 * 1024 * 1024;
const LABELS = {
  toxic: "Toxic",
  severe_toxic: "Severe toxic",
  obscene: "Obscene",
  threat: "Threat",
  insult: "Insult",
  identity_hate: "Identity hate",
};

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showError(box, message) {
  box.textContent = message;
  box.hidden = !message;
}

function problemOf(text, status) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `The server answered with status ${status}.`;
  }
}

// Theme: the system's, until the person says otherwise.

const stored = localStorage.getItem("theme");
if (stored) document.documentElement.dataset.theme = stored;
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

// Health

async function checkHealth() {
  const pill = $("health");
  try {
    const health = await (await fetch("/health/ready")).json();
    const ready = health.status === "ready";
    pill.dataset.state = ready ? "ready" : "down";
    pill.textContent = ready ? `${health.model_name} · version ${health.model_version}` : "no version ready";
    pill.title = health.detail || "";
  } catch {
    pill.dataset.state = "down";
    pill.textContent = "not reachable";
  }
}
checkHealth();
setInterval(() => document.hidden || checkHealth(), 5000);

// One comment

function scoreRow(name, score, decision) {
  const item = element("li", decision ? "flagged" : "");
  const percent = Math.round(score * 100);
  const track = element("div", "track");
  track.setAttribute("role", "meter");
  track.setAttribute("aria-label", LABELS[name] || name);
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  track.setAttribute("aria-valuenow", String(percent));
  const bar = element("div", "bar");
  bar.style.width = `${Math.max(score * 100, 1)}%`;
  track.append(bar);
  item.append(
    element("span", "", LABELS[name] || name),
    track,
    element("span", "number", score.toFixed(3)),
    element("span", "decision", decision ? "⚑ flagged" : "below"),
  );
  return item;
}

function showScores(answer, milliseconds) {
  const [result] = answer.results;
  $("scores").replaceChildren(
    ...Object.entries(result.scores).map(([name, score]) => scoreRow(name, score, result.decisions[name])),
  );
  const cut = result.truncated ? " · the text was longer than the model reads and was cut" : "";
  $("facts").textContent =
    `${answer.model_name}, version ${answer.model_version} · ${Math.round(milliseconds)} ms · ` +
    `${result.tokens} tokens${cut}`;
  $("result").hidden = false;
}

async function scoreComment(event) {
  event.preventDefault();
  const button = $("score");
  button.disabled = true;
  showError($("comment-error"), "");
  const request = { text: $("comment").value };
  if ($("language").value) request.lang = $("language").value;
  const started = performance.now();
  try {
    const response = await fetch("/predict", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    const text = await response.text();
    if (response.ok) showScores(JSON.parse(text), performance.now() - started);
    else throw new Error(problemOf(text, response.status));
  } catch (error) {
    $("result").hidden = true;
    showError($("comment-error"), error instanceof TypeError ? "The server can't be reached." : error.message);
  } finally {
    button.disabled = false;
  }
}
$("comment-form").addEventListener("submit", scoreComment);
$("comment").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("comment-form").requestSubmit();
});

// A file

function chooseFile() {
  const [file] = $("file").files;
  $("file-name").textContent = file ? file.name : "Choose a file";
  $("upload").disabled = !file;
}
$("file").addEventListener("change", chooseFile);
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      $("file").files = event.dataTransfer.files;
      chooseFile();
    }
  });
}

// RFC 4180: quoted cells, doubled quotes, line breaks inside quotes.
function parseCsv(text) {
  const rows = [];
  const stop = /[,\r\n]|$/g;
  let row = [];
  let at = 0;
  while (at < text.length) {
    let cell = "";
    if (text[at] === '"') {
      for (at += 1; at < text.length; at += 1) {
        if (text[at] !== '"') cell += text[at];
        else if (text[at + 1] === '"') { cell += '"'; at += 1; }
        else break;
      }
      at += 1;
    } else {
      stop.lastIndex = at;
      const end = stop.exec(text).index;
      cell = text.slice(at, end);
      at = end;
    }
    row.push(cell);
    if (text[at] === ",") { at += 1; if (at === text.length) row.push(""); continue; }
    if (text[at] === "\r") at += 1;
    at += 1;
    rows.push(row);
    row = [];
  }
  return rows;
}

function showTable(header, rows) {
  const texts = ["content", "comment_text"];
  const textAt = header.findIndex((name) => texts.includes(name.trim().toLowerCase()));
  const lineAt = header.lastIndexOf("line");
  const scoreAt = Object.keys(LABELS).map((label) => header.lastIndexOf(`score_${label}`));
  const decisionAt = Object.keys(LABELS).map((label) => header.lastIndexOf(`decision_${label}`));
  const head = element("tr");
  head.append(...["Line", "Text", ...Object.values(LABELS)].map((name) => element("th", "", name)));
  const body = rows.slice(0, PREVIEW_ROWS).map((cells) => {
    const rejected = cells[cells.length - 1] !== "";
    const row = element("tr", rejected ? "rejected" : "");
    row.append(element("td", "", cells[lineAt]), element("td", "", cells[textAt]));
    if (rejected) {
      const reason = element("td", "", cells[cells.length - 1]);
      reason.colSpan = scoreAt.length;
      row.append(reason);
    } else {
      scoreAt.forEach((at, index) => {
        const flagged = cells[decisionAt[index]] === "true";
        row.append(element("td", flagged ? "number flagged" : "number", `${flagged ? "⚑ " : ""}${Number(cells[at]).toFixed(3)}`));
      });
    }
    return row;
  });
  document.querySelector("#file-result thead").replaceChildren(head);
  document.querySelector("#file-result tbody").replaceChildren(...body);
}

function showRejected(rows) {
  const box = $("file-rejected");
  box.hidden = rows.length === 0;
  box.querySelector("summary").textContent = `${rows.length.toLocaleString()} rows weren't scored`;
  box.querySelector("ul").replaceChildren(
    ...rows.slice(0, 100).map((cells) => element("li", "", cells[cells.length - 1])),
  );
}

async function showFile(blob, version, milliseconds) {
  const link = $("download");
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(blob);
  const table = document.querySelector("#file-result .scroll");
  table.hidden = blob.size > PREVIEW_BYTES;
  let summary = `Scored by version ${version} in ${(milliseconds / 1000).toFixed(1)} s.`;
  $("file-rejected").hidden = true;
  if (!table.hidden) {
    const [header, ...rows] = parseCsv(await blob.text());
    const rejected = rows.filter((cells) => cells[cells.length - 1] !== "");
    summary = `${(rows.length - rejected.length).toLocaleString()} of ${rows.length.toLocaleString()} rows. ${summary}`;
    showTable(header, rows);
    showRejected(rejected);
  }
  $("file-summary").textContent = summary;
  $("file-result").hidden = false;
}

function scoreFile(event) {
  event.preventDefault();
  const started = performance.now();
  const request = new XMLHttpRequest();
  const progress = $("progress");
  const say = (text) => { $("progress-text").textContent = text; };
  const end = () => { $("file-progress").hidden = true; $("upload").disabled = false; };
  request.open("POST", "/predict");
  request.setRequestHeader("accept", "text/csv");
  request.responseType = "blob";
  request.upload.onprogress = (sent) => {
    progress.value = sent.loaded / sent.total;
    say(`Uploading: ${Math.round((100 * sent.loaded) / sent.total)} %`);
  };
  request.upload.onload = () => { progress.removeAttribute("value"); say("Scoring…"); };
  request.onprogress = (got) => say(`Scoring: ${Math.round(got.loaded / 1024).toLocaleString()} KiB of scores`);
  request.onerror = () => { end(); showError($("file-error"), "The connection broke before the file was scored."); };
  request.onload = async () => {
    end();
    if (request.status === 200) {
      await showFile(request.response, request.getResponseHeader("x-model-version"), performance.now() - started);
    } else {
      showError($("file-error"), problemOf(await request.response.text(), request.status));
    }
  };
  showError($("file-error"), "");
  $("file-result").hidden = true;
  $("file-progress").hidden = false;
  $("upload").disabled = true;
  say("Uploading…");
  request.send(new FormData($("file-form")));
}
$("file-form").addEventListener("submit", scoreFile);
