// The public exports of the API.

export { consoleSessionOf } from './authentication.ts'
export type {
  ApiPorts,
  ConfiguredPerson,
  ControlPlane,
  DiagnosticsPort,
  EndpointsPort,
  ExplainQuestion,
  FleetPort,
  FleetStatus,
  OriginView,
  PortalUser,
  SessionPage,
  SessionsPort,
  StatusPort,
  TokenPort,
  VerifyQuestion,
} from './ports.ts'
export { PROVIDER_RETURN_PATH } from './provider-pages.ts'
export { type ApiAddress, type ApiCertificate, type ApiServer, startApi } from './server.ts'
