# The company's rules, lists and virtual networks as Terraform writes them (version 5 of Cloudflare's provider).
# terraform.json beside this file is the state after an apply, as `terraform show -json` prints it.

terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5"
    }
  }
}

variable "account_id" {
  type = string
}

resource "cloudflare_zero_trust_tunnel_cloudflared_virtual_network" "vnet_amer" {
  account_id = var.account_id
  name       = "vnet-AMER"
  comment    = "for people who work as if in the Americas"
}

resource "cloudflare_zero_trust_tunnel_cloudflared_virtual_network" "vnet_emea" {
  account_id = var.account_id
  name       = "vnet-EMEA"
  comment    = "for people who work as if in Europe"
}

resource "cloudflare_zero_trust_list" "auditors" {
  account_id = var.account_id
  name       = "Auditors"
  type       = "EMAIL"
  items      = [
    { value = "erin@example.com" },
    { value = "judy@example.com" },
  ]
}

resource "cloudflare_zero_trust_list" "partner_networks" {
  account_id = var.account_id
  name       = "Partner networks"
  type       = "IP"
  items      = [
    { value = "198.51.100.128/25" },
  ]
}

resource "cloudflare_zero_trust_list" "warehouse_networks" {
  account_id = var.account_id
  name       = "Warehouse networks"
  type       = "IP"
  items      = [
    { value = "198.51.100.64/27" },
    { value = "198.51.100.100" },
  ]
}

resource "cloudflare_zero_trust_list" "build_networks" {
  account_id = var.account_id
  name       = "Build networks"
  type       = "IP"
  items      = [
    { value = "77.160.0.0/16" },
  ]
}

resource "cloudflare_zero_trust_list" "code_hosts" {
  account_id = var.account_id
  name       = "Code hosts"
  type       = "DOMAIN"
  items      = [
    { value = "code.test" },
    { value = "packages.test" },
  ]
}

resource "cloudflare_zero_trust_gateway_policy" "finance_to_the_bank" {
  account_id     = var.account_id
  name           = "Finance to the bank"
  precedence     = 1000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"bank.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"Finance\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.20"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:20::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "treasury_reports" {
  account_id     = var.account_id
  name           = "Treasury reports"
  description    = "The reports moved to a host of their own"
  precedence     = 1100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.fqdn.host == \"reports.bank.saas.test\""
  identity       = "any(identity.groups.name[*] in {\"Finance\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "auditors_to_the_bank" {
  account_id     = var.account_id
  name           = "Auditors to the bank"
  precedence     = 1200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"bank.saas.test\")"
  identity       = "identity.email in ${"$"}${cloudflare_zero_trust_list.auditors.id}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "payroll_for_hr" {
  account_id     = var.account_id
  name           = "Payroll for HR"
  precedence     = 1300
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.fqdn.host == \"payroll.saas.test\""
  identity       = "any(identity.groups.name[*] in {\"HR\"})"
  device_posture = "any(device_posture.checks.passed[*] in {\"4a1603ba-fbaf-5131-af69-aa8f0bd1e3e4\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "payroll_for_finance" {
  account_id     = var.account_id
  name           = "Payroll for Finance"
  precedence     = 1400
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.fqdn.host == \"payroll.saas.test\""
  identity       = "any(identity.groups.name[*] in {\"Finance\"})"
  device_posture = "any(device_posture.checks.passed[*] in {\"4a1603ba-fbaf-5131-af69-aa8f0bd1e3e4\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.50"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:50::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "finance_to_payments" {
  account_id     = var.account_id
  name           = "Finance to payments"
  precedence     = 1500
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"payments.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"Finance\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.20"
      ipv4_fallback = "203.0.113.10"
      ipv6          = "2001:db8:20::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "payment_webhooks" {
  account_id     = var.account_id
  name           = "Payment webhooks"
  precedence     = 1600
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"payments.saas.test\") and net.dst.port == 8443"
  identity       = "any(identity.groups.name[*] in {\"Engineering\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "erp_from_europe" {
  account_id     = var.account_id
  name           = "ERP from Europe"
  precedence     = 2000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"erp.saas.test\") and net.src.geo.continent == \"EU\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.60"
      ipv4_fallback = "203.0.113.10"
      ipv6          = "2001:db8:60::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "erp_from_elsewhere" {
  account_id     = var.account_id
  name           = "ERP from elsewhere"
  precedence     = 2100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"erp.saas.test\")"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.60"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "customs_from_the_eu" {
  account_id     = var.account_id
  name           = "Customs from the EU"
  precedence     = 2200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"customs.saas.test\") and net.src.geo.country in {\"BE\" \"DE\" \"FR\" \"NL\"}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.60"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "customs_for_hamburg" {
  account_id     = var.account_id
  name           = "Customs for Hamburg"
  description    = "The German office has its own contract"
  precedence     = 2300
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"customs.saas.test\") and net.src.geo.country == \"DE\""
  identity       = "any(identity.groups.name[*] in {\"Logistics\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.60"
      ipv4_fallback = "203.0.113.10"
      ipv6          = "2001:db8:60::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "customs_for_logistics" {
  account_id     = var.account_id
  name           = "Customs for Logistics"
  precedence     = 2400
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"customs.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"Logistics\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.60"
      ipv4_fallback = "203.0.113.10"
      ipv6          = "2001:db8:60::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "warehouse_from_asia" {
  account_id     = var.account_id
  name           = "Warehouse from Asia"
  precedence     = 2500
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"warehouse.saas.test\") and net.src.geo.continent == \"AS\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.70"
      ipv4_fallback = "203.0.113.40"
      ipv6          = "2001:db8:70::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "warehouse_from_the_americas" {
  account_id     = var.account_id
  name           = "Warehouse from the Americas"
  precedence     = 2600
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"warehouse.saas.test\") and net.src.geo.continent in {\"NA\" \"SA\"}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.40"
      ipv4_fallback = "203.0.113.70"
      ipv6          = "2001:db8:40::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "warehouse_robots" {
  account_id     = var.account_id
  name           = "Warehouse robots"
  precedence     = 2700
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.protocol == \"udp\" and net.dst.port == 5684 and net.dst.ip in ${"$"}${cloudflare_zero_trust_list.warehouse_networks.id}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.40"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:40::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "warehouse_networks" {
  account_id     = var.account_id
  name           = "Warehouse networks"
  precedence     = 2800
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.dst.ip in ${"$"}${cloudflare_zero_trust_list.warehouse_networks.id}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.40"
      ipv4_fallback = "203.0.113.70"
      ipv6          = "2001:db8:40::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "crm_for_sales_in_the_americas" {
  account_id     = var.account_id
  name           = "CRM for Sales in the Americas"
  precedence     = 3000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"crm.saas.test\") and net.src.geo.continent == \"NA\""
  identity       = "any(identity.groups.name[*] in {\"Sales\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.40"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:40::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "crm_for_sales" {
  account_id     = var.account_id
  name           = "CRM for Sales"
  precedence     = 3100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"crm.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"Sales\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.50"
      ipv4_fallback = "203.0.113.40"
      ipv6          = "2001:db8:50::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "crm_and_its_reports" {
  account_id     = var.account_id
  name           = "CRM and its reports"
  precedence     = 3200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.fqdn.host == \"crm.saas.test\" and net.fqdn.host == \"reports.crm.saas.test\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.50"
      ipv4_fallback = "203.0.113.40"
      ipv6          = "2001:db8:50::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "crm_for_support" {
  account_id     = var.account_id
  name           = "CRM for Support"
  precedence     = 3300
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"crm.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"Support\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.50"
      ipv4_fallback = "203.0.113.40"
      ipv6          = "2001:db8:50::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "tickets_for_support_in_asia" {
  account_id     = var.account_id
  name           = "Tickets for Support in Asia"
  precedence     = 3400
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"tickets.saas.test\") and net.src.geo.country in {\"IN\" \"JP\"}"
  identity       = "any(identity.groups.name[*] in {\"Support\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.70"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:70::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "tickets_from_europe" {
  account_id     = var.account_id
  name           = "Tickets from Europe"
  precedence     = 3500
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"tickets.saas.test\") and net.src.geo.continent == \"EU\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.20"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:20::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "tickets" {
  account_id     = var.account_id
  name           = "Tickets"
  precedence     = 3600
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"tickets.saas.test\")"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "people_portal_for_hr" {
  account_id     = var.account_id
  name           = "People portal for HR"
  precedence     = 4000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"people.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"HR\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.60"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:60::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "people_portal_from_managed_devices" {
  account_id     = var.account_id
  name           = "People portal from managed devices"
  precedence     = 4100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"people.saas.test\")"
  device_posture = "any(device_posture.checks.passed[*] == \"4a1603ba-fbaf-5131-af69-aa8f0bd1e3e4\") and any(device_posture.checks.passed[*] == \"9b3a8abe-2f54-52a9-aa0e-a7d1fac16022\")"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.20"
      ipv4_fallback = "203.0.113.60"
      ipv6          = "2001:db8:20::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "people_portal_for_contractors" {
  account_id     = var.account_id
  name           = "People portal for contractors"
  precedence     = 4200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] == \"people.saas.test\")"
  identity       = "any(identity.groups.name[*] in {\"Contractors\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.20"
      ipv4_fallback = "203.0.113.60"
      ipv6          = "2001:db8:20::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "code_and_packages" {
  account_id     = var.account_id
  name           = "Code and packages"
  precedence     = 5000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.domains[*] in ${"$"}${cloudflare_zero_trust_list.code_hosts.id})"
  identity       = "any(identity.groups.name[*] in {\"Engineering\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "build_servers" {
  account_id     = var.account_id
  name           = "Build servers"
  precedence     = 5100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.src.ip in ${"$"}${cloudflare_zero_trust_list.build_networks.id}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "ssh_for_engineering" {
  account_id     = var.account_id
  name           = "SSH for Engineering"
  precedence     = 5200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.dst.port == 22"
  identity       = "any(identity.groups.name[*] in {\"Engineering\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "databases" {
  account_id     = var.account_id
  name           = "Databases"
  precedence     = 5300
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.dst.port in {3306 5432 6379}"
  identity       = "any(identity.groups.name[*] in {\"Engineering\"})"
  device_posture = "any(device_posture.checks.passed[*] in {\"4a1603ba-fbaf-5131-af69-aa8f0bd1e3e4\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "calls_from_shared_egress" {
  account_id     = var.account_id
  name           = "Calls from shared egress"
  precedence     = 5400
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.protocol == \"udp\" and net.dst.port in {3478..3481}"
}

resource "cloudflare_zero_trust_gateway_policy" "partner_uploads_from_the_us" {
  account_id     = var.account_id
  name           = "Partner uploads from the US"
  precedence     = 6000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.dst.ip in ${"$"}${cloudflare_zero_trust_list.partner_networks.id} and net.dst.port == 2022 and net.src.geo.country == \"US\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.30"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:30::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "partners" {
  account_id     = var.account_id
  name           = "Partners"
  precedence     = 6100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.dst.ip in ${"$"}${cloudflare_zero_trust_list.partner_networks.id}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.10"
      ipv4_fallback = "203.0.113.20"
      ipv6          = "2001:db8:10::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "contractors" {
  account_id     = var.account_id
  name           = "Contractors"
  precedence     = 6200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  identity       = "any(identity.groups.name[*] in {\"Contractors\"})"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.50"
      ipv4_fallback = "203.0.113.30"
      ipv6          = "2001:db8:50::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "vnet_amer_in_the_united_states" {
  account_id     = var.account_id
  name           = "vnet-AMER in the United States"
  precedence     = 7000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.vnet_id == \"${cloudflare_zero_trust_tunnel_cloudflared_virtual_network.vnet_amer.id}\" and net.src.geo.country == \"US\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.40"
      ipv4_fallback = "203.0.113.50"
      ipv6          = "2001:db8:40::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "vnet_amer" {
  account_id     = var.account_id
  name           = "vnet-AMER"
  precedence     = 7100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.vnet_id == \"${cloudflare_zero_trust_tunnel_cloudflared_virtual_network.vnet_amer.id}\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.50"
      ipv4_fallback = "203.0.113.40"
      ipv6          = "2001:db8:50::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "vnet_emea_on_the_continent" {
  account_id     = var.account_id
  name           = "vnet-EMEA on the continent"
  precedence     = 7200
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.vnet_id == \"${cloudflare_zero_trust_tunnel_cloudflared_virtual_network.vnet_emea.id}\" and net.src.geo.country in {\"DE\" \"NL\"}"
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.60"
      ipv4_fallback = "203.0.113.10"
      ipv6          = "2001:db8:60::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "vnet_emea" {
  account_id     = var.account_id
  name           = "vnet-EMEA"
  precedence     = 7300
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.vnet_id == \"${cloudflare_zero_trust_tunnel_cloudflared_virtual_network.vnet_emea.id}\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.20"
      ipv4_fallback = "203.0.113.10"
      ipv6          = "2001:db8:20::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "streaming_from_shared_egress" {
  account_id     = var.account_id
  name           = "Streaming from shared egress"
  precedence     = 8000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "any(net.fqdn.content_category[*] in {146})"
}

resource "cloudflare_zero_trust_gateway_policy" "asia_from_tokyo" {
  account_id     = var.account_id
  name           = "Asia from Tokyo"
  precedence     = 8100
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.src.geo.continent == \"AS\""
  rule_settings = {
    egress = {
      ipv4          = "203.0.113.70"
      ipv4_fallback = "0.0.0.0"
      ipv6          = "2001:db8:70::/64"
    }
  }
}

resource "cloudflare_zero_trust_gateway_policy" "everything_else_from_shared_egress" {
  account_id     = var.account_id
  name           = "Everything else from shared egress"
  precedence     = 9000
  enabled        = true
  action         = "egress"
  filters        = ["egress"]
  traffic        = "net.protocol in {\"tcp\" \"udp\"}"
}
