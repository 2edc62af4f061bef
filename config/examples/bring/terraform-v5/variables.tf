terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.0"
    }
  }
}

variable "account_id" {
  description = "no default: nothing that an egress policy needs depends on it"
  type        = string
}

variable "it_admin_group" {
  type    = string
  default = "ITAdmin"
}

variable "first_precedence" {
  type = number
}
