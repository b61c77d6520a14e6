/** How the suite in the extension host tells its test file outside how it went. */
export interface SuiteResult {
  tests: { title: string; failure?: string }[];
}
