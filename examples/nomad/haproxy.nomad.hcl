# HAProxy on the binder's sockets:  nomad job run -var app=10.0.0.2:8080 haproxy.nomad.hcl
#
# An update starts a canary beside the old one, on the same port if on the same node:
#   nomad job promote haproxy     lets it take over
variable "app" {
  type        = string
  description = "Address of the application to balance"
}

job "haproxy" {
  type = "service"

  update {
    canary       = 1
    max_parallel = 1
  }

  group "haproxy" {
    count = 1

    network {
      mode = "bridge"
      port "ready" {
        to = 8404
      }
    }

    # A canary counts as healthy when HAProxy serves, not before.
    service {
      name     = "haproxy"
      port     = "ready"
      provider = "nomad"
      check {
        type     = "http"
        path     = "/healthz"
        interval = "5s"
        timeout  = "2s"
      }
    }

    volume "multibinder" {
      type      = "host"
      source    = "multibinder"
      read_only = true
    }

    task "haproxy" {
      driver = "docker"
      # The binder takes sockets back from its own user alone.
      user = "0"
      # More than --stop-delay and --drain together; the client's max_kill_timeout caps it.
      kill_timeout = "90s"

      env {
        APP = var.app
      }

      config {
        image      = "registry.example/site-haproxy:1"
        entrypoint = ["multibinder"]
        args = [
          "exec",
          "--sock=/run/multibinder/multibinder.sock",
          "--control=/alloc/control.sock",
          "--render-dir=/alloc",
          "--wait=2m",
          "--stop-delay=10s",
          "--drain=60s",
          "--", "haproxy", "-f", "/local/site.cfg.eta",
        ]
        readonly_rootfs = true
        cap_drop        = ["all"]
      }

      # A changed config is a reload of the running HAProxy.
      template {
        destination   = "local/site.cfg.eta"
        change_mode   = "signal"
        change_signal = "SIGUSR2"
        data          = <<-END
          defaults
              mode http
              timeout connect 5s
              timeout client 30s
              timeout server 30s

          frontend site
              bind <%= bind_tcp('0.0.0.0', 80) %>
              monitor-uri /healthz
              default_backend app

          # In the task's own network namespace, for Nomad's check.
          frontend ready
              bind :8404
              monitor-uri /healthz

          backend app
              server app <%= ENV.fetch('APP') %> check
        END
      }

      volume_mount {
        volume      = "multibinder"
        destination = "/run/multibinder"
        read_only   = true
      }

      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
