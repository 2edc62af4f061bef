locals {
  offices = {
    ashburn = ["198.51.100.0/26"]
    newark  = ["198.51.100.64/26", "192.0.2.128/25"]
  }
}

resource "cloudflare_zero_trust_list" "office" {
  for_each    = local.offices
  account_id  = var.account_id
  name        = "Office ${each.key}"
  description = "Networks of the office ${each.key}"
  type        = "IP"
  items       = [for network in each.value : { value = network }]
}

resource "cloudflare_zero_trust_tunnel_cloudflared_virtual_network" "emea" {
  account_id         = var.account_id
  name               = "vnet-tf-emea"
  comment            = "made by Terraform"
  is_default_network = false
}
