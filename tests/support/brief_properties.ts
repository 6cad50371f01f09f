/** To be loaded before tests that run in an emulator: each property gets a second. */

import fc from "fast-check";

fc.configureGlobal({ interruptAfterTimeLimit: 1000 });
