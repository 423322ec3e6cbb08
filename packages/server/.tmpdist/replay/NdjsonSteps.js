/** NDJSON of our own events or steps. Strict throughout: whoever wrote these lines can write them again. */
import { isOpening } from "@hikyaku/domain/replay/Step";
import { decodeStepLine } from "@hikyaku/domain/replay/StepLine";
import { Either } from "effect";
/** Bytes of one line. */
export const lineBytesMax = 1024 * 1024;
const newline = 0x0a;
/** Batches of lines with their 1-based numbers; empty lines are left out, the others end at `limit`. */
async function* numberedLines(file, limit) {
    let line = 0;
    let taken = 0;
    let parts = [];
    let length = 0;
    let batch = [];
    const keep = (part) => {
        length += part.length;
        if (length > lineBytesMax) {
            throw file.error("RecordTooLong", `more than ${lineBytesMax} bytes`, { line: line + 1 });
        }
        if (part.length > 0)
            parts.push(part);
    };
    const end = () => {
        line += 1;
        const text = Buffer.concat(parts, length).toString("utf8");
        parts = [];
        length = 0;
        if (text.trim() === "")
            return;
        taken += 1;
        batch.push([line, text]);
    };
    for await (const chunk of file.chunks()) {
        for (let from = 0;;) {
            const to = chunk.indexOf(newline, from);
            if (to < 0) {
                keep(chunk.subarray(from));
                break;
            }
            keep(chunk.subarray(from, to));
            end();
            from = to + 1;
            if (taken >= limit)
                break;
        }
        if (batch.length > 0)
            yield batch;
        batch = [];
        if (taken >= limit)
            return;
    }
    end();
    if (batch.length > 0)
        yield batch;
    if (taken === 0)
        throw file.error("EmptyFile", "the file has no lines");
}
/**
 * Batches of steps, one per line, at most `limit`. Throws `ReplayInputError`: for a line that is no step or event, one that
 * is earlier than the line before, an opening after the first step that is none.
 */
export async function* ndjsonSteps(file, limit) {
    let last = Number.NEGATIVE_INFINITY;
    let begun = false;
    for await (const lines of numberedLines(file, limit)) {
        yield lines.map(([line, text]) => {
            const decoded = decodeStepLine(text);
            if (Either.isLeft(decoded)) {
                const { detail, fault, ...place } = decoded.left;
                throw file.error(fault, detail, { line, ...place });
            }
            const step = decoded.right;
            if (step.at < last) {
                throw file.error("OutOfOrder", `${step.at} after ${last}: the clock never runs backwards`, { line, path: "at" });
            }
            if (begun && isOpening(step)) {
                throw file.error("LateOpening", `${step._tag} after the first step; publish an event instead`, {
                    line,
                    path: "_tag"
                });
            }
            begun ||= !isOpening(step);
            last = step.at;
            return step;
        });
    }
}
//# sourceMappingURL=NdjsonSteps.js.map