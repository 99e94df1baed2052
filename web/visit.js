// What was asked since the page was opened; in memory, and gone with it.

import { isVerdict, outcome } from "./answer.js";
import { el, icon } from "./dom.js";
import { getLanguage, say } from "./words.js";

const RECORDS_MAX = 24;

const records = []; // newest first

function forget(record) {
    for (const url of record.thumbs) if (url) URL.revokeObjectURL(url);
}

export function remember(record) {
    records.unshift(record);
    for (const old of records.splice(RECORDS_MAX)) forget(old);
}

export function forgetAll() {
    for (const record of records.splice(0)) forget(record);
}

function entry(record, isShown, onShow) {
    const [thumb] = record.thumbs;
    const kind = record.error ? "failed" : isVerdict(record.answer?.result) ? record.answer.result : "text";
    const time = record.at.toLocaleTimeString(getLanguage(), { hour: "2-digit", minute: "2-digit" });
    return el("li", {}, el("button", { type: "button", "aria-current": isShown && "true", onclick: () => onShow(record) },
        thumb ? el("img", { src: thumb, alt: "" }) : el("span", { class: "none" }, icon("text")),
        el("span", {}, el("b", { "data-is": kind }, outcome(record)), el("small", {}, say("visit_at", { time })))));
}

export function showVisit(shown, onShow) {
    document.getElementById("visit").hidden = records.length === 0;
    document.getElementById("visit-list").replaceChildren(
        ...records.map((record) => entry(record, record === shown, onShow)));
}
