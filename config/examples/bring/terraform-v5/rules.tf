locals {
  locations = {
    ashburn = { ipv4 = "203.0.113.30", ipv6 = "2001:db8:30::/64", fallback = "203.0.113.50" }
    newark  = { ipv4 = "203.0.113.50", ipv6 = "2001:db8:50::/64", fallback = "203.0.113.30" }
    london  = { ipv4 = "203.0.113.20", ipv6 = "2001:db8:20::/64", fallback = "203.0.113.10" }
  }

  # both spellings of a list's id are in use
  office_lists = [for name, list in cloudflare_zero_trust_list.office : format("$%s", replace(list.id, "-", ""))]
}

resource "cloudflare_zero_trust_gateway_policy" "office" {
  for_each    = local.offices
  account_id  = var.account_id
  name        = "To the office ${each.key}"
  description = "leaves from ${each.key}"
  precedence  = var.first_precedence + index(keys(local.offices), each.key) * 10
  enabled     = true
  action      = "egress"
  filters     = ["egress"]
  traffic     = "net.dst.ip in ${"$"}${cloudflare_zero_trust_list.office[each.key].id}"

  rule_settings = {
    egress = {
      ipv4          = local.locations[each.key].ipv4
      ipv4_fallback = local.locations[each.key].fallback
      ipv6          = local.locations[each.key].ipv6
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "admins" {
  account_id  = var.account_id
  name        = "Administrators"
  description = "one rule after those of the offices"
  precedence  = cloudflare_zero_trust_gateway_policy.office["newark"].precedence + 100
  enabled     = true
  action      = "egress"
  filters     = ["egress"]
  traffic     = <<-EOT
    net.vnet_id == "${cloudflare_zero_trust_tunnel_cloudflared_virtual_network.emea.id}"
    and not(${join(" or ", [for list in local.office_lists : "net.dst.ip in ${list}"])})
  EOT
  identity    = "any(identity.saml_attributes[*] == \"groups=${var.it_admin_group}\")"

  rule_settings = {
    egress = {
      ipv4          = local.locations.london.ipv4
      ipv4_fallback = local.locations.london.fallback
      ipv6          = local.locations.london.ipv6
    }
  }
}

# a rule of another kind is kept and never evaluated
resource "cloudflare_zero_trust_gateway_policy" "block" {
  account_id = var.account_id
  name       = "Block a site"
  precedence = "30000"
  enabled    = true
  action     = "block"
  filters    = ["dns"]
  traffic    = "any(dns.domains[*] == \"example.com\")"
}
