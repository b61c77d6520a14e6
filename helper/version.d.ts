/** The version in package.json, put in by the build. */
declare const DISKLOOM_VERSION: string;
