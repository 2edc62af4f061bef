// Every way a connection, a rule, a configuration or an API call can fail, each with one stable code and all of its
// renderings (docs/reference/reliability.md#status, RFC 9209 for the Proxy-Status token, RFC 1928 section 6 for SOCKS).

/** Cloudflare's ConnectionCloseReason, as written to session records ([S2]). */
export type CloseReason =
  | 'CLIENT_CLOSED'
  | 'CLIENT_IDLE_TIMEOUT'
  | 'CLIENT_TLS_ERROR'
  | 'CLIENT_ERROR'
  | 'ORIGIN_CLOSED'
  | 'ORIGIN_TLS_ERROR'
  | 'ORIGIN_ERROR'
  | 'ORIGIN_UNREACHABLE'
  | 'ORIGIN_UNROUTABLE'
  | 'PROXY_CONN_REFUSED'
  | 'EGRESS_PORT_ALLOCATION_ERROR'
  | 'MISMATCHED_IP_VERSIONS'
  | 'TOO_MANY_ACTIVE_SESSIONS_FOR_ACCOUNT'
  | 'TOO_MANY_ACTIVE_SESSIONS_FOR_USER'
  | 'TOO_MANY_NEW_SESSIONS_FOR_ACCOUNT'
  | 'TOO_MANY_NEW_SESSIONS_FOR_USER'
  | 'UNKNOWN'

/** How one failure appears to each kind of client. `socks` is the SOCKS5 reply code; `proxyStatus` the RFC 9209
 *  error token (null where no token of the RFC fits). */
export interface Rendering {
  readonly http: number
  readonly socks: number
  readonly proxyStatus: string | null
  readonly close: CloseReason
}

function rendering(http: number, socks: number, proxyStatus: string | null, close: CloseReason): Rendering {
  return Object.freeze({ http, socks, proxyStatus, close })
}

/** Code → rendering, for failures of connections. The keys are the complete list of codes. */
export const CONNECTION_ERRORS = {
  'request.malformed': rendering(400, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.bad_authority': rendering(400, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.too_large': rendering(431, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.uri_too_long': rendering(414, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.timeout': rendering(408, 0x01, 'http_request_error', 'CLIENT_IDLE_TIMEOUT'),
  'request.version_not_supported': rendering(505, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.unsupported_coding': rendering(501, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.unsupported_scheme': rendering(400, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.unsupported_method': rendering(405, 0x07, 'http_request_error', 'CLIENT_ERROR'),
  'request.unsupported_expectation': rendering(417, 0x01, 'http_request_error', 'CLIENT_ERROR'),
  'request.unsupported_command': rendering(400, 0x07, 'http_request_error', 'CLIENT_ERROR'),
  'request.unsupported_address': rendering(400, 0x08, 'http_request_error', 'CLIENT_ERROR'),
  'request.tls_failed': rendering(400, 0x01, 'http_request_error', 'CLIENT_TLS_ERROR'),
  'identity.required': rendering(407, 0x02, null, 'PROXY_CONN_REFUSED'),
  'identity.rejected': rendering(407, 0x02, null, 'PROXY_CONN_REFUSED'),
  'identity.certificate_refused': rendering(403, 0x02, 'http_request_denied', 'CLIENT_TLS_ERROR'),
  'identity.keys_unavailable': rendering(503, 0x01, 'proxy_configuration_error', 'PROXY_CONN_REFUSED'),
  'identity.sign_in_failed': rendering(403, 0x02, 'http_request_denied', 'PROXY_CONN_REFUSED'),
  'identity.source_not_allowed': rendering(403, 0x02, 'http_request_denied', 'PROXY_CONN_REFUSED'),
  'name.not_found': rendering(502, 0x04, 'dns_error', 'ORIGIN_UNREACHABLE'),
  'name.failed': rendering(502, 0x04, 'dns_error', 'ORIGIN_UNREACHABLE'),
  'name.unknown_placeholder': rendering(502, 0x04, 'dns_error', 'ORIGIN_UNREACHABLE'),
  'name.timeout': rendering(504, 0x04, 'dns_timeout', 'ORIGIN_UNREACHABLE'),
  'guard.forbidden_destination': rendering(403, 0x02, 'destination_ip_prohibited', 'PROXY_CONN_REFUSED'),
  'guard.own_listener': rendering(403, 0x02, 'proxy_loop_detected', 'PROXY_CONN_REFUSED'),
  'guard.loop': rendering(508, 0x02, 'proxy_loop_detected', 'PROXY_CONN_REFUSED'),
  'guard.too_many_connections': rendering(
    503,
    0x01,
    'connection_limit_reached',
    'TOO_MANY_ACTIVE_SESSIONS_FOR_ACCOUNT',
  ),
  'egress.unroutable': rendering(503, 0x01, 'destination_ip_unroutable', 'ORIGIN_UNROUTABLE'),
  'egress.address_missing': rendering(503, 0x01, 'proxy_configuration_error', 'ORIGIN_UNROUTABLE'),
  'egress.no_matching_family': rendering(503, 0x03, 'destination_ip_unroutable', 'MISMATCHED_IP_VERSIONS'),
  'egress.ports_exhausted': rendering(503, 0x01, 'connection_limit_reached', 'EGRESS_PORT_ALLOCATION_ERROR'),
  'egress.not_bound': rendering(503, 0x01, 'proxy_internal_error', 'ORIGIN_UNROUTABLE'),
  'egress.exit_failed': rendering(503, 0x01, 'proxy_configuration_error', 'ORIGIN_UNROUTABLE'),
  'egress.member_failed': rendering(503, 0x01, 'proxy_configuration_error', 'ORIGIN_UNROUTABLE'),
  'egress.member_cut_off': rendering(503, 0x01, 'proxy_configuration_error', 'ORIGIN_UNROUTABLE'),
  'egress.tunnel_leads_nowhere': rendering(503, 0x03, 'destination_ip_unroutable', 'ORIGIN_UNREACHABLE'),
  'egress.exit_refused': rendering(503, 0x02, 'proxy_configuration_error', 'ORIGIN_UNROUTABLE'),
  'dial.refused': rendering(502, 0x05, 'connection_refused', 'ORIGIN_UNREACHABLE'),
  'dial.unreachable': rendering(502, 0x03, 'destination_ip_unroutable', 'ORIGIN_UNREACHABLE'),
  'dial.reset': rendering(502, 0x04, 'connection_terminated', 'ORIGIN_UNREACHABLE'),
  'dial.timeout': rendering(504, 0x04, 'connection_timeout', 'ORIGIN_UNREACHABLE'),
  'origin.malformed_response': rendering(502, 0x01, 'http_protocol_error', 'ORIGIN_ERROR'),
  'origin.incomplete_response': rendering(502, 0x01, 'http_response_incomplete', 'ORIGIN_ERROR'),
  'origin.timeout': rendering(504, 0x01, 'http_response_timeout', 'ORIGIN_ERROR'),
  'relay.idle': rendering(504, 0x01, 'connection_read_timeout', 'CLIENT_IDLE_TIMEOUT'),
  'relay.client_reset': rendering(400, 0x01, null, 'CLIENT_ERROR'),
  'relay.origin_reset': rendering(502, 0x01, 'connection_terminated', 'ORIGIN_ERROR'),
  'relay.colo_down': rendering(503, 0x01, 'connection_terminated', 'ORIGIN_UNROUTABLE'),
  'relay.killed': rendering(503, 0x01, 'connection_terminated', 'UNKNOWN'),
  'internal.invariant': rendering(500, 0x01, 'proxy_internal_error', 'UNKNOWN'),
} as const satisfies Record<string, Rendering>

export type ConnectionErrorCode = keyof typeof CONNECTION_ERRORS
