"""What the page does in a browser: it fetches its changing part anew, and says when it cannot."""

from typing import Final

SCRIPT: Final = """
"use strict";
(() => {
  const at = (name) => document.getElementById(name);
  const age = at("age"), gone = at("gone"), spoken = at("spoken");
  let taken = 0, every = 2, busy = false, lost = 0;

  const read = () => {
    const told = at("now").dataset;
    taken = Date.now() - 1000 * Number(told.age);
    every = Number(told.every);
    document.title = told.title;
    if (spoken.textContent !== told.said) spoken.textContent = told.said;
  };

  const clock = () => {
    const told = at("now").dataset;
    const seconds = Math.max(0, Math.round((Date.now() - taken) / 1000));
    age.textContent = told.time
      ? `Numbers of ${told.time}, ${seconds} s old; looked at anew every ${every} s.`
      : "No numbers yet.";
  };

  const replace = (text) => {
    const sheet = document.createElement("template");
    sheet.innerHTML = text;
    const fresh = sheet.content.firstElementChild;
    if (!fresh || fresh.id !== "now") throw new Error("it answers with something else");
    const old = at("now"), chosen = document.getSelection();
    // Whoever marks words to copy them would lose them.
    if (chosen && !chosen.isCollapsed && old.contains(chosen.anchorNode)) return;
    const links = [...old.querySelectorAll("a")], focus = links.indexOf(document.activeElement);
    old.replaceWith(fresh);
    if (focus >= 0) {
      const same = fresh.querySelectorAll("a")[focus];
      if (same) same.focus({ preventScroll: true });
    }
    read();
  };

  const refresh = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch("/page", { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
      replace(await answer.text());
      lost = 0;
      gone.hidden = true;
    } catch (error) {
      if (!lost) lost = Date.now();
      const since = `${new Date(lost).toISOString().slice(11, 19)} UTC`;
      const why = error instanceof TypeError || error.name === "TimeoutError"
        ? "it gives no answer" : error.message;
      gone.textContent = `The agent cannot be reached since ${since}: ${why}. What stands below `
        + "is old and may no longer be true. On the host, systemctl status inferwatch says "
        + "whether it runs. This page goes on trying.";
      gone.hidden = false;
      document.title = "No answer - inferwatch";
    }
    document.body.classList.toggle("is-gone", !gone.hidden);
    clock();
    busy = false;
  };

  const rounds = () => { refresh().finally(() => setTimeout(rounds, 1000 * every)); };
  read();
  clock();
  setInterval(clock, 1000);
  setTimeout(rounds, 1000 * every);
  document.addEventListener("visibilitychange", refresh);
})();
"""
