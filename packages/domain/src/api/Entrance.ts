/**
 * What every call passes before its handler: the one place where a caller is judged and work is bounded. Its errors are
 * part of every method.
 */
import { RpcMiddleware } from "@effect/rpc"
import { CommonError } from "./ApiError.ts"

export class Entrance extends RpcMiddleware.Tag<Entrance>()("@hikyaku/api/Entrance", {
  wrap: true,
  failure: CommonError
}) {}
