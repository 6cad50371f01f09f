/** The tests with real systemd for which there is no time in every run. */

import "./crashes.ts";
import "./start_page.ts";
