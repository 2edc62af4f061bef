// The door of the API.

export type { InsightPort, OriginView, VerifyQuestion, Visitor } from './ports.ts'
export type {
  ApiPorts,
  ConfiguredPerson,
  ControlPlane,
  ExplainQuestion,
  Page,
  SessionsPort,
  StatusPort,
  TokenPort,
} from './ports.ts'
export { type ApiServer, startApi } from './server.ts'
