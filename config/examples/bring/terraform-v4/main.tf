# Provider version 4: blocks, plain texts in lists, and precedences that the provider spreads.

terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 4.0"
    }
  }
}

variable "account_id" {
  type = string
}

resource "cloudflare_teams_list" "partners" {
  account_id  = var.account_id
  name        = "Partner sites"
  type        = "IP"
  description = "Sites of partners"
  items       = ["198.51.100.64/26"]

  items_with_description {
    value       = "192.0.2.0/25"
    description = "second site"
  }
}

resource "cloudflare_teams_rule" "partners" {
  account_id  = var.account_id
  name        = "Partners from Ashburn"
  description = "Partners know 203.0.113.30"
  precedence  = 11
  enabled     = true
  action      = "egress"
  filters     = ["egress"]
  traffic     = "net.dst.ip in ${"$"}${cloudflare_teams_list.partners.id}"

  rule_settings {
    egress {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

# without settings: default egress
resource "cloudflare_teams_rule" "rest" {
  account_id  = var.account_id
  name        = "The rest by default egress"
  description = ""
  precedence  = 20
  enabled     = true
  action      = "egress"
  filters     = ["egress"]
  traffic     = "net.protocol in {\"tcp\" \"udp\"}"
}
