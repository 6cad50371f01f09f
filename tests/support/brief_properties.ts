/** To be loaded before tests that run in an emulator: each property gets five seconds. */

import fc from "fast-check";

fc.configureGlobal({ interruptAfterTimeLimit: 5000 });
