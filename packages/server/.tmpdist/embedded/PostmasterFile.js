/**
 * `postmaster.pid` and `postmaster.opts`: what PostgreSQL itself writes into its data
 * directory about the server that runs on it. It is the one record of a running server
 * that cannot disagree with the server, so we keep none of our own.
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { attempt, readText, replaceText } from "./DataFile.js";
import * as ProcessIdentity from "./ProcessIdentity.js";
const fileIn = (data) => path.join(data, "postmaster.pid");
/** None when there is no such file or no pid in it (it is written in steps). */
export const read = (data) => Effect.map(readText(fileIn(data)), (text) => {
    const lines = (text ?? "").split("\n").map((line) => line.trim());
    // Negative: PostgreSQL in single-user mode, as initdb runs it.
    const pid = Math.abs(Number.parseInt(lines[0] ?? "", 10));
    if (!Number.isSafeInteger(pid) || pid === 0)
        return Option.none();
    const port = Number.parseInt(lines[3] ?? "", 10);
    return Option.some({
        pid,
        port: Number.isSafeInteger(port) && port > 0 ? port : undefined,
        ready: lines[7] === "ready"
    });
});
/** The server that runs on these data, if the file speaks of a living one. */
export const livingServer = (data) => Effect.gen(function* () {
    const file = yield* read(data);
    if (Option.isNone(file))
        return Option.none();
    const found = yield* ProcessIdentity.inspect(file.value.pid);
    if (found === undefined)
        return Option.none();
    const { real, uid } = yield* attempt(data, "looking at it", async () => ({
        real: await fs.realpath(data),
        uid: (await fs.stat(data)).uid
    }));
    // When it cannot be found out it counts as running: refusing is safer than two servers.
    return (yield* ProcessIdentity.serves(found.pid, real, uid)) === false ? Option.none() : Option.some(found);
});
/** A pid that no system gives out. */
const pidOfNobody = 2_147_483_647;
/**
 * Makes a stale file harmless. PostgreSQL removes one by itself when its pid is free, but
 * refuses to start when another process of the same user has got that pid. The file is not
 * deleted but made to name a process that cannot exist, because its last line lets
 * PostgreSQL notice child processes of the old server that still live and write. Only when
 * `livingServer` is none.
 */
export const defuse = (data) => Effect.gen(function* () {
    const text = yield* readText(fileIn(data));
    if (text === undefined)
        return;
    if (Option.isNone(yield* read(data))) {
        // Empty or broken, after a crash of the machine: nothing in it is worth keeping.
        return yield* attempt(data, "removing postmaster.pid", () => fs.rm(fileIn(data), { force: true }));
    }
    yield* replaceText(fileIn(data), text.replace(/^[^\n]*/, String(pidOfNobody)));
});
/** The command line with which the last server was started on these data, as PostgreSQL noted it. */
export const lastCommand = (data) => Effect.map(readText(path.join(data, "postmaster.opts")), (text) => text?.trim());
//# sourceMappingURL=PostmasterFile.js.map