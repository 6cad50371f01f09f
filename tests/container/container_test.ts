/** Tests with real containers. They share one engine and its images, so they are one test file. */

import "./image.ts";
import "./walk_through.ts";
import "./first_process.ts";
import "./binder_restart.ts";
import "./readme.ts";
import "./on_docker.ts";
