// A request as a command for a POSIX shell, quoted so that no text of a user can be anything else.

export function shellQuote(text) {
    return /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// curl reads -F 'image=@"NAME"'; inside the quotes a backslash and a quote are escaped.
function fileArgument(name) {
    return `image=@"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

// request: { pictures: [{ name }], task, prompt, schema }. --form-string takes its value as it is,
// where -F would read a leading @ or < as a file.
export function curlCommand(url, request, needsToken) {
    const lines = [`curl -sS ${shellQuote(url)}`];
    if (needsToken) lines.push('-H "Authorization: Bearer $GLINT_TOKEN"');
    for (const picture of request.pictures) lines.push(`-F ${shellQuote(fileArgument(picture.name))}`);
    lines.push(`--form-string ${shellQuote(`task=${request.task}`)}`);
    if (request.prompt) lines.push(`--form-string ${shellQuote(`prompt=${request.prompt}`)}`);
    if (request.schema) lines.push(`--form-string ${shellQuote(`schema=${request.schema}`)}`);
    return lines.join(" \\\n  ");
}
