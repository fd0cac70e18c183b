// The pill with the version that serves: it follows /health/ready.

import { $ } from "./api.js";

let shown = "";

// Asks again every few seconds, when the page comes to the front, and when another version has answered.
export async function checkHealth(answered) {
  if (answered !== undefined && answered === shown) return;
  const pill = $("health");
  try {
    const health = await (await fetch("/health/ready")).json();
    const ready = health.status === "ready";
    shown = ready ? health.model_version : "";
    pill.dataset.state = ready ? "ready" : "down";
    pill.textContent = ready ? `${health.model_name} · version ${health.model_version}` : "no version ready";
    pill.title = health.detail || "";
  } catch {
    shown = "";
    pill.dataset.state = "down";
    pill.textContent = "not reachable";
  }
}

checkHealth();
setInterval(() => document.hidden || checkHealth(), 5000);
document.addEventListener("visibilitychange", () => document.hidden || checkHealth());
