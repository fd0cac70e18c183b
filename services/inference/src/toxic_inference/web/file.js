// A table: uploaded, watched while it is scored, downloaded. It goes on when this page is closed or loaded again.

import { $, apiKey, ask, problemOf, showError } from "./api.js";
import { parseCsv } from "./csv.js";
import { showTable } from "./table.js";

const SHOWN_BYTES = 4 * 1024 * 1024; // what a browser sorts and searches without a wait
const POLL_MILLISECONDS = 400;
const RETRY_MILLISECONDS = 3000;

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

const say = (text) => { $("progress-text").textContent = text; };
const pause = (milliseconds) => new Promise((wake) => { setTimeout(wake, milliseconds); });
const rowsOf = (count) => `${count.toLocaleString()} ${count === 1 ? "row" : "rows"}`;

function begin() {
  showError($("file-error"), "");
  $("file-result").hidden = true;
  $("file-progress").hidden = false;
  $("upload").disabled = true;
  $("file-card").setAttribute("aria-busy", "true");
}

function end(message = "") {
  sessionStorage.removeItem("job");
  sessionStorage.removeItem("column");
  $("file-progress").hidden = true;
  $("cancel").hidden = true;
  $("file-card").setAttribute("aria-busy", "false");
  $("upload").disabled = !$("file").files.length;
  showError($("file-error"), message);
}

// XMLHttpRequest, since fetch doesn't say how much of a file has been sent.
function upload() {
  const request = new XMLHttpRequest();
  const progress = $("progress");
  request.open("POST", "/jobs");
  if (apiKey()) request.setRequestHeader("x-api-key", apiKey());
  request.upload.onprogress = (sent) => {
    progress.value = sent.loaded / sent.total;
    say(`Uploading: ${Math.round((100 * sent.loaded) / sent.total)} %`);
  };
  request.upload.onload = () => { progress.removeAttribute("value"); say("Reading the file…"); };
  request.onerror = () =>
    end("The connection broke before the file had arrived; it may be larger than this service takes.");
  request.onload = () => {
    if (request.status !== 202) return end(problemOf(request.responseText, request.status));
    const job = JSON.parse(request.responseText);
    sessionStorage.setItem("job", job.id);
    sessionStorage.setItem("column", $("file-column").value);
    return watch(job.id);
  };
  say("Uploading…");
  request.send(new FormData($("file-form")));
}

async function watch(id) {
  const progress = $("progress");
  $("cancel").hidden = false;
  const watched = () => sessionStorage.getItem("job") === id; // until the person removes it
  while (watched()) {
    let job;
    let part;
    try {
      job = await (await ask(`/jobs/${id}`)).json();
      if (job.state === "done") part = await firstPart(id);
    } catch (error) {
      if (!watched()) return;
      if (error.status === 404) return end(error.message);
      // The file is scored all the same: whatever is in the way, it may be gone the next time.
      say(`${error.message} Trying again…`);
      await pause(RETRY_MILLISECONDS);
      continue;
    }
    if (!watched()) return;
    if (part) {
      try {
        return showResult(job, part);
      } catch (error) {
        return end(`The scores can't be shown: ${error.message}`); // trying again wouldn't help
      }
    }
    if (job.state === "failed") return end(job.error.message);
    progress.value = job.rows_total ? job.rows_done / job.rows_total : 0;
    say(
      job.state === "queued"
        ? "Waiting for its turn…"
        : `Scoring: ${job.rows_done.toLocaleString()} of ${rowsOf(job.rows_total)}`,
    );
    await pause(POLL_MILLISECONDS);
  }
}

async function remove(id) {
  end();
  $("file-result").hidden = true;
  try {
    await ask(`/jobs/${id}`, { method: "DELETE" });
  } catch (error) {
    showError($("file-error"), error.message);
  }
}

const resultOf = (id) => `/jobs/${id}/result`;

async function firstPart(id) {
  const answer = await ask(resultOf(id), { headers: { range: `bytes=0-${SHOWN_BYTES - 1}` } });
  const [, last, size] = /-(\d+)\/(\d+)$/.exec(answer.headers.get("content-range")) || [];
  return { text: await answer.text(), cut: Number(last) + 1 < Number(size) };
}

function showResult(job, { text, cut }) {
  const address = resultOf(job.id);
  const [header, ...rows] = parseCsv(text);
  showTable(header, cut ? rows.slice(0, -1) : rows, sessionStorage.getItem("column") ?? ""); // the last one may be cut
  const shown = cut ? ` The table below has the first ${rowsOf(rows.length - 1)}; the download has all.` : "";
  // The browser downloads by itself, resuming where it broke; it can't send a header.
  $("download").href = apiKey() ? `${address}?key=${encodeURIComponent(apiKey())}` : address;
  const rejected = job.rejected ? ` ${rowsOf(job.rejected)} couldn't be scored; the file has the reasons.` : "";
  $("file-summary").textContent =
    `${rowsOf(job.scored)} scored by version ${job.model_version}.${rejected} ` +
    `Kept until ${new Date(job.expires_at).toLocaleString()}, unless you remove it.${shown}`;
  $("remove").dataset.job = job.id;
  $("file-progress").hidden = true;
  $("file-card").setAttribute("aria-busy", "false");
  $("upload").disabled = !$("file").files.length;
  $("file-result").hidden = false;
}

$("remove").addEventListener("click", () => remove($("remove").dataset.job));
$("cancel").addEventListener("click", () => remove(sessionStorage.getItem("job")));

$("file-form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
  upload();
});

const running = sessionStorage.getItem("job");
if (running) {
  begin();
  watch(running);
}
