/** One check that is taken away, and the test that is to notice. */
export interface Mutation {
  readonly id: string
  readonly rule: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly project: string
  readonly test: string
  /** The tests of the file that are run, by a part of their names; all where absent. */
  readonly only?: string
}
export declare const mutations: ReadonlyArray<Mutation>
