// The door of the API.

export type { DiagnosticsPort, OriginView, VerifyQuestion, PortalUser } from './ports.ts'
export type {
  ApiPorts,
  ConfiguredPerson,
  ControlPlane,
  ExplainQuestion,
  SessionPage,
  SessionsPort,
  StatusPort,
  TokenPort,
} from './ports.ts'
export { type ApiServer, startApi } from './server.ts'
