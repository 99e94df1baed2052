// What an answer looks like: while it is written, complete, failed or stopped. A record is
// { request, thumbs, text, answer, error, isStopped, needsToken }; answer is the API's.

import { curlCommand } from "./curl.js";
import { el, icon } from "./dom.js";
import { readPartial } from "./partial.js";
import { formatMs, formatShare, has, say } from "./words.js";

const VERDICTS = ["pass", "review", "reject"];
const PARTS = ["queue", "fetch", "decode_image", "preprocess", "encode", "prefill", "decode"];
const OTHER_MIN_MS = 0.05;

// Errors whose words say already what they are about.
const IS_PLAIN = new Set(["missing_input", "unsupported_image", "broken_image", "image_refused",
    "too_many_images", "invalid_image", "unknown_task", "context_length_exceeded"]);

export const taskName = (name) => (has(`task_${name}`) ? say(`task_${name}`) : name);
export const isVerdict = (word) => VERDICTS.includes(word);

// The word for what came of a request, for lists and announcements.
export function outcome(record) {
    if (record.error) return say("visit_failed");
    if (record.isStopped) return say("stopped");
    const { result } = record.answer;
    if (result) return isVerdict(result) ? say(`result_${result}`) : result;
    return taskName(record.request.task);
}

/* ---- cards ---- */

function card(kind, iconName, title, words, ...body) {
    return el("div", { class: "card", "data-is": kind },
        el("div", { class: "card-head" },
            el("div", { class: "badge" }, icon(iconName)),
            el("div", {}, el("h3", {}, title), words && el("p", {}, words))),
        ...body);
}

function said(text, isCode) {
    return el("p", { class: isCode ? "said code" : "said" }, text);
}

function verdictCard(result, reasons, otherWords) {
    const list = reasons.length > 0 &&
        el("ul", { class: "reasons", "aria-label": say("reasons") }, reasons.map((reason) => el("li", {}, reason)));
    if (!isVerdict(result)) return card("data", "data", result, "", list);
    const words = otherWords !== undefined ? say("no_verdict") : say(`means_${result}`);
    return card(result, result, say(`result_${result}`), words, list, otherWords && said(otherWords));
}

function textCard(task, text) {
    return card("text", "text", taskName(task), "", said(text || say("nothing_said")));
}

function dataCard(task, data, otherWords) {
    if (data === null) return card("review", "review", taskName(task), say("no_data"), said(otherWords ?? ""));
    return card("data", "data", taskName(task), "", said(JSON.stringify(data, null, 2), true));
}

function completeCard({ answer }) {
    if (answer.result !== undefined) return verdictCard(answer.result, answer.reasons ?? [], answer.text);
    if (answer.data !== undefined) return dataCard(answer.task, answer.data, answer.text);
    return textCard(answer.task, answer.text ?? "");
}

/* What is there of an answer that is still written. The record keeps the last JSON that could be
 * read. */
function partialCard(record, isWriting) {
    const { kind, task } = record.request;
    if (kind !== "text") record.partial = readPartial(record.text) ?? record.partial;
    const data = record.partial;
    const reasons = Array.isArray(data?.reasons) ? data.reasons.filter((r) => typeof r === "string") : [];
    let shown;
    if (kind === "text") shown = record.text && textCard(task, record.text);
    else if (kind === "verdict") shown = isVerdict(data?.result) && verdictCard(data.result, reasons);
    else shown = data !== undefined && dataCard(task, data);
    if (shown && isWriting) shown.classList.add("is-writing");
    return shown || null;
}

/* ---- measures ---- */

function confidence(value) {
    const fill = el("div");
    fill.style.width = `${value * 100}%`;
    return el("div", { class: "measure" },
        el("div", { class: "measure-head" },
            el("h4", { id: "confidence-name" }, say("confidence")), el("span", {}, formatShare(value))),
        el("div", { class: "meter", role: "meter", "aria-labelledby": "confidence-name", "aria-valuemin": 0,
            "aria-valuemax": 1, "aria-valuenow": value, "aria-valuetext": formatShare(value) }, fill));
}

function timeParts(timing) {
    const parts = PARTS.map((name) => [name, timing[name] ?? 0]);
    const other = timing.total - parts.reduce((sum, [, ms]) => sum + ms, 0);
    return [...parts, ["other", other]].filter(([name, ms]) => ms > (name === "other" ? OTHER_MIN_MS : 0));
}

function time(timing) {
    const parts = timeParts(timing), bar = el("div", { class: "bar", "aria-hidden": "true" });
    const legend = el("dl", { class: "legend" });
    for (const [name, ms] of parts) {
        const segment = el("i"), swatch = el("span", { class: "swatch" });
        segment.style.flexGrow = ms;
        segment.style.background = swatch.style.background = `var(--part-${name})`;
        bar.append(segment);
        legend.append(el("div", {}, el("dt", {}, swatch, say(`part_${name}`)),
            el("dd", {}, say("time_total", { ms: formatMs(ms) }))));
    }
    return el("div", { class: "measure" },
        el("div", { class: "measure-head" }, el("h4", {}, say("time")),
            el("span", {}, say("time_total", { ms: formatMs(timing.total) }))),
        bar, legend);
}

function facts({ usage, finish_reason: finish, id }) {
    const rows = [
        ["tokens_prompt", usage.prompt_tokens], ["tokens_image", usage.image_tokens],
        ["tokens_answer", usage.completion_tokens], ["tokens_cached", usage.cached_tokens],
        ["finish", has(`finish_${finish}`) ? say(`finish_${finish}`) : finish],
        ["request_id", el("span", { class: "mono" }, id)],
    ];
    return el("dl", { class: "facts" }, rows.map(([key, value]) =>
        el("div", { class: key === "request_id" && "long" }, el("dt", {}, say(key)), el("dd", {}, typeof value === "number" ? String(value) : value))));
}

/* ---- to take along ---- */

// The clipboard's API wants a secure context; a selection can be copied in any.
async function copyText(pre) {
    try {
        await navigator.clipboard.writeText(pre.textContent);
    } catch {
        getSelection().selectAllChildren(pre);
        document.execCommand("copy");
    }
}

function copyable(title, text, ...notes) {
    const pre = el("pre", { tabindex: 0 }, text);
    const button = el("button", { type: "button" }, say("copy"));
    button.onclick = async () => {
        await copyText(pre);
        button.textContent = say("copied");
        setTimeout(() => (button.textContent = say("copy")), 2000);
    };
    return el("details", {}, el("summary", {}, title), pre,
        el("div", { class: "copy-row" }, el("p", { class: "hint" }, notes.join(" ")), button));
}

function about({ request, thumbs }) {
    return el("div", { class: "about" },
        thumbs.filter(Boolean).slice(0, 1).map((src) => el("img", { src, alt: "" })),
        el("p", {}, el("b", {}, taskName(request.task)), request.prompt ? ` · ${request.prompt}` : ""));
}

function takeAlong(record) {
    const url = new URL("v1/multimodal/inference", location.href).href;
    const notes = [record.request.pictures.length > 0 && say("command_note"), record.needsToken && say("command_token")];
    return el("div", {},
        copyable(say("command"), curlCommand(url, record.request, record.needsToken), ...notes.filter(Boolean)),
        copyable(say("raw"), JSON.stringify(record.answer, null, 2)));
}

/* ---- states ---- */

export function errorWords(error) {
    return has(`error_${error.code}`) ? say(`error_${error.code}`) : error.message;
}

function failure(error, onRetry) {
    return el("div", { class: "failure" },
        el("h3", {}, errorWords(error)),
        error.param && !IS_PLAIN.has(error.code) && el("p", {}, say("error_field", { param: error.param })),
        error.retryAfterS > 0 && el("p", {}, say("retry_after", { n: error.retryAfterS })),
        el("p", { class: "hint" }, el("span", { class: "mono" }, error.code),
            error.requestId ? ` · ${say("error_id", { id: error.requestId })}` : ""),
        el("button", { type: "button", onclick: onRetry }, say("retry")));
}

export function emptyView(onSample) {
    const sample = onSample && el("div", { class: "sample" },
        el("img", { src: "page/sample-listing.png", alt: "", width: 448, height: 448 }),
        el("div", {}, el("p", { class: "hint" }, say("sample_name")),
            el("p", { class: "title", lang: "zh" }, say("sample_title")), el("p", { class: "hint" }, say("sample_gloss")),
            el("button", { type: "button", id: "sample", onclick: onSample }, say("sample_try"))));
    return [el("div", { class: "empty" }, el("h3", {}, say("empty_title")), el("p", {}, say("empty_words")), sample || null)];
}

function workingView(record) {
    const shown = partialCard(record, true);
    const words = record.isScaling ? "scaling" : shown ? "writing" : "waiting";
    return [about(record), shown,
        el("div", { class: "wait" }, el("img", { class: "wait-mark", src: "page/icon.svg", alt: "" }), el("p", {}, say(words)))];
}

// What to put into the answer's place; onRetry asks again.
export function recordView(record, onRetry) {
    if (record.error) return [about(record), partialCard(record, false), failure(record.error, onRetry)];
    if (record.isStopped)
        return [about(record), partialCard(record, false), el("div", { class: "failure mild" },
            el("h3", {}, say("stopped")), el("p", {}, say("stopped_words")))];
    if (!record.answer) return workingView(record);
    return [about(record), completeCard(record), confidence(record.answer.confidence), time(record.answer.timing_ms),
        facts(record.answer), takeAlong(record)];
}
