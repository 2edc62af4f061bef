// Requests of HTTP/1, one at a time: the next head is not read before the response to the previous request is sent (FR-06,
// FR-07), so a client that pipelines is read only as fast as it gets responses. Its connection to the origin is its own.

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { requestError } from '../../http1/defect.ts'
import { formatHead } from '../../http1/fields.ts'
import { keepsConnection } from '../../http1/framing.ts'
import { HeadReader } from '../../http1/head-reader.ts'
import { checkMethodBeginning, checkRequestLine, parseRequestHead, type RequestHead } from '../../http1/message-head.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Session } from '../../proxy/session.ts'
import { carry } from '../../proxy/tunnel.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../transport/byte-stream.ts'
import { type ClientConnection, incompleteRequest } from '../client-connection.ts'
import { closeAfterReply } from '../close-after-reply.ts'
import { credentialsStillMissing } from '../proxy-credentials.ts'
import { Forwarding, type ForwardSettings, forward } from './forward.ts'
import { type ForwardRequest, understandForward } from './forward-request.ts'
import { HeldInput, Http1RequestBody } from './http1-request-body.ts'
import { Http1Responder } from './http1-responder.ts'
import { IdleTimer } from './idle-timer.ts'
import { type ConnectionEnd, resetByClient } from './origin-connection.ts'
import { ResponseOutput } from './output.ts'
import { type AnswerHead, type Asked, answerError, askedBy, NOTHING_ASKED } from './responder.ts'

/** Takes a CONNECT that follows forwarded requests; the bytes behind its head are back in the stream. */
export type ConnectTurn = (client: ClientConnection, head: RequestHead) => void

/** How long the rest of a request is discarded after an early response, before the connection is closed (FR-14). */
const DRAIN_MS = 10_000
/** How long forwarding waits for the first chunk size, so that no origin sees a malformed one. */
const PRIME_MS = 1_000
/** How much is read ahead of the request in progress, to notice when the client is gone. */
const READ_AHEAD_BYTES = 64 * 1024
/** Shorter waits for a response, as a share of the longest, do not count towards what all may come to: they are spared the look. */
const LONG_WAIT = 1 / 300
/** room for a method and ` HTTP/1.1` beside the target in a request line */
const MAX_LINE_BESIDE_TARGET = 64
/** checked of a request line before it is complete */
const MAX_METHOD_LENGTH = 32

type State = 'reading' | 'priming' | 'serving' | 'draining' | 'over'

/** Serves one client connection until it closes, or hands it on for a CONNECT. */
export class Http1Requests implements StreamHandler {
  readonly #client: ClientConnection
  readonly #stream: ByteStream
  readonly #settings: ForwardSettings
  readonly #onConnect: ConnectTurn
  readonly #input: HeldInput
  readonly #output: ResponseOutput
  readonly #reader: HeadReader
  readonly #forwarding: Forwarding
  readonly #timer: IdleTimer
  #state: State = 'reading'
  #isReading = false
  #isLineChecked = false
  #isStopping = false
  /** of the request in progress */
  #body: Http1RequestBody | undefined
  #responder: Http1Responder | undefined
  /** when its head was complete, by performance.now() */
  #begunAt = 0
  /** how long the client has waited for responses since it sent its last request */
  #waitedMs = 0
  #beginForwarding: () => void = () => {}

  constructor(client: ClientConnection, settings: ForwardSettings, onConnect: ConnectTurn) {
    const { stream, origin } = client
    this.#client = client
    this.#stream = stream
    this.#settings = settings
    this.#onConnect = onConnect
    this.#input = new HeldInput(stream)
    this.#output = new ResponseOutput(stream, this.#writeFailed)
    this.#reader = new HeadReader({
      maxHeadBytes: settings.maxHeadBytes,
      maxLineBytes: Math.min(settings.maxTargetBytes + MAX_LINE_BESIDE_TARGET, settings.maxHeadBytes),
      skipsEmptyLines: true,
    })
    this.#forwarding = new Forwarding(settings)
    this.#timer = new IdleTimer(origin.clock, this.#expire)
    this.#timer.set(origin.limits.timeoutMs)
  }

  /** Starts reading; what the client sent so far is in its stream. */
  start(): void {
    this.#stream.setHandler(this)
  }

  /** Closes an idle client now and a busy one after its response (LC-01). */
  stop(): void {
    this.#isStopping = true
    if (this.#responder !== undefined && !this.#responder.hasBegun) this.#responder.closeAfter()
    if (this.#state === 'reading' && !this.#reader.hasBegun) this.#close()
  }

  onReadable(): void {
    if (this.#state === 'reading') this.#readHeads()
    else if (this.#state === 'priming') this.#prime()
    else if (this.#state === 'serving') this.#readWhileServing()
    else if (this.#state === 'draining') this.#drain()
  }

  #readWhileServing(): void {
    if (this.#body === undefined || this.#body.isDone) this.#input.readAhead(READ_AHEAD_BYTES)
    else this.#body.pump()
  }

  onWritable(): void {
    this.#output.isBlocked = false
    if (this.#state === 'reading') this.#readHeads()
    else if (this.#state === 'serving') this.#forwarding.resume()
  }

  onClose(end: StreamEnd): void {
    if (this.#state === 'over') return
    const isMidHead = this.#state === 'priming' || (this.#state === 'reading' && this.#reader.hasBegun)
    const isReset = end.by === 'peer' && end.how !== 'fin'
    this.#leave(isReset ? resetByClient(end) : undefined)
    if (isMidHead) this.#settings.pipeline.refuse(this.#clientInfo(), incompleteRequest(end))
  }

  #clientInfo() {
    return this.#client.clientInfo('http-forward')
  }

  #readHeads(): void {
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#state === 'reading' && !this.#output.isBlocked) {
        const bytes = this.#input.take()
        if (bytes === undefined) break
        this.#takeHead(bytes)
      }
    } finally {
      this.#isReading = false
    }
    if (this.#state === 'reading' && this.#input.hasEnded) this.#ended()
  }

  #takeHead(bytes: Buffer): void {
    let end: number
    try {
      end = this.#reader.push(bytes)
      if (end < 0) this.#checkLine()
    } catch (thrown) {
      this.#refuse(asGatewayError(requestError(thrown)))
      return
    }
    if (end < 0) return
    if (end < bytes.length) this.#input.keep(bytes.subarray(end))
    const { text } = this.#reader
    this.#reader.reset()
    this.#isLineChecked = false
    this.#begin(text)
  }

  /** Refuses an invalid request line as soon as it is complete. */
  #checkLine(): void {
    if (this.#isLineChecked) return
    const line = this.#reader.startLine
    if (line === undefined) {
      checkMethodBeginning(this.#reader.beginning(MAX_METHOD_LENGTH))
      return
    }
    this.#isLineChecked = true
    checkRequestLine(line)
  }

  /** Serves a complete head. */
  #begin(text: string): void {
    this.#state = 'serving'
    this.#begunAt = performance.now()
    this.#timer.clear()
    let head: RequestHead
    try {
      head = parseRequestHead(text, this.#settings.maxFields)
    } catch (thrown) {
      this.#refuse(asGatewayError(requestError(thrown)))
      return
    }
    if (head.method.length === 7 && head.method.toUpperCase() === 'CONNECT') this.#handOver(head)
    else this.#understand(head)
  }

  #understand(head: RequestHead): void {
    let request: ForwardRequest
    try {
      request = understandForward({ ...head, url: head.target }, this.#settings)
    } catch (thrown) {
      this.#refuse(asGatewayError(thrown), askedBy(head))
      return
    }
    if (this.#client.mustAuthenticate && request.authorization === undefined) {
      this.#refuse(credentialsStillMissing(), request)
      return
    }
    this.#serve(head, request)
  }

  #serve(head: RequestHead, request: ForwardRequest): void {
    const { version, method } = head
    const keepsAlive = !this.#isStopping && request.upgrade === undefined && keepsConnection(version, head.fields)
    const responder = new Http1Responder(this.#stream, this.#output, { method, version, keepsAlive })
    this.#responder = responder
    const body = request.bodyLength === 0 ? undefined : this.#bodyOf(request)
    this.#body = body
    const client = {
      clientInfo: this.#clientInfo(),
      responder,
      body,
      isOver: () => this.#responder !== responder || this.#state === 'over',
      done: () => this.#answered(),
      switched: (answer: AnswerHead, session: Session) => this.#switch(answer, session),
    }
    const begin = () => void forward(client, request, this.#forwarding, this.#settings)
    if (body === undefined || request.expectsContinue) {
      begin()
      return
    }
    this.#beginForwarding = begin
    this.#state = 'priming'
    this.#timer.set(PRIME_MS)
    this.#prime()
  }

  #prime(): void {
    try {
      if (this.#body?.prime() === true) this.#endPriming()
      else if (this.#input.hasEnded) this.#refuse(incompleteRequest())
    } catch (thrown) {
      this.#refuse(asGatewayError(requestError(thrown)))
    }
  }

  #endPriming(): void {
    const begin = this.#beginForwarding
    this.#beginForwarding = () => {}
    this.#state = 'serving'
    this.#timer.set(this.#settings.bodyIdleMs)
    begin()
  }

  #bodyOf(request: ForwardRequest): Http1RequestBody {
    const { bodyIdleMs } = this.#settings
    return new Http1RequestBody(this.#input, request.bodyLength, {
      onProgress: () => this.#timer.set(bodyIdleMs),
      onBlocked: () => this.#timer.clear(),
      onFailure: (error) => this.#giveUp(error),
    })
  }

  /** The response is sent, or was cut off visibly. */
  #answered(): void {
    if (this.#state === 'over') return
    const keepsAlive = this.#responder?.keepsAlive === true
    const hasWaitedEnough = this.#countWait(this.#responder?.begunAt)
    this.#responder = undefined
    this.#timer.clear()
    if (this.#stream.isClosed) this.#leave()
    else if (!keepsAlive || hasWaitedEnough) this.#close()
    else if (this.#body !== undefined && !this.#body.isDone) this.#beginDraining()
    else this.#beginNext()
  }

  /** Adds up what a client waits for that has ended its side, or is far ahead with its requests so that nobody knows: true once that is
   *  as long as one response may take. Behind a silent origin its requests would else hold the connection for that long each. */
  #countWait(until = performance.now()): boolean {
    const { responseTimeoutMs } = this.#settings
    const waitedMs = until - this.#begunAt
    if (waitedMs < responseTimeoutMs * LONG_WAIT) return false
    this.#input.readAhead(READ_AHEAD_BYTES)
    this.#waitedMs = this.#input.isLast(READ_AHEAD_BYTES) ? this.#waitedMs + waitedMs : 0
    return this.#waitedMs >= responseTimeoutMs
  }

  #beginNext(): void {
    this.#body = undefined
    this.#state = 'reading'
    this.#timer.set(this.#settings.keepAliveMs)
    if (this.#isStopping) this.#close()
    else this.#readHeads()
  }

  #beginDraining(): void {
    this.#state = 'draining'
    this.#body?.stop()
    this.#timer.set(DRAIN_MS)
    this.#drain()
  }

  #drain(): void {
    try {
      this.#body?.drain()
    } catch (thrown) {
      this.#refuse(asGatewayError(requestError(thrown)))
      return
    }
    if (this.#body?.isDone === true) this.#beginNext()
    else if (this.#input.hasEnded) this.#close()
  }

  /** FIN between two requests or inside a head. */
  #ended(): void {
    if (this.#reader.hasBegun) this.#refuse(incompleteRequest())
    else this.#close()
  }

  #handOver(head: RequestHead): void {
    this.#leave()
    this.#stream.setHandler(undefined)
    this.#input.release()
    this.#onConnect(this.#client, head)
  }

  /** 101: from now on it is a tunnel with the rules of one (HH-13). */
  #switch({ status, reason, fields }: AnswerHead, session: Session): void {
    const { pipeline } = this.#settings
    this.#output.text(formatHead(`HTTP/1.1 ${status} ${reason}`, fields))
    this.#output.flush()
    this.#leave()
    this.#stream.setHandler(undefined)
    this.#input.release()
    void carry(pipeline, session, this.#stream)
  }

  /** Records the error, sends it and closes. `asked`: what is known of the request. */
  #refuse(error: GatewayError, asked: Asked & { readonly target?: Target } = NOTHING_ASKED): void {
    const clientInfo = this.#clientInfo()
    this.#settings.pipeline.refuse(
      asked.target === undefined ? clientInfo : { ...clientInfo, target: asked.target },
      error,
    )
    this.#respondAndClose(error, asked)
  }

  #respondAndClose(error: GatewayError, asked: Asked): void {
    const to = { method: asked.method, version: '1.1', keepsAlive: false } as const
    answerError(new Http1Responder(this.#stream, this.#output, to), error, asked)
    this.#close()
  }

  /** Aborts the request in progress because of the client. */
  #giveUp(error: GatewayError): void {
    if (this.#state === 'over') return
    const responder = this.#responder
    const isRecorded = this.#forwarding.abandon(error)
    if (!isRecorded) this.#settings.pipeline.refuse(this.#clientInfo(), error)
    if (responder?.hasBegun === true && responder.cut()) this.#leave()
    else this.#respondAndClose(error, NOTHING_ASKED)
  }

  /** Closes the connection after what was written. */
  #close(why?: ConnectionEnd): void {
    this.#output.flush()
    this.#leave(why)
    closeAfterReply(this.#stream, this.#client.origin.clock, '')
  }

  /** An idle kept-alive connection is closed; half a request gets an error response. */
  readonly #expire = (): void => {
    const late = new GatewayError('request.timeout', 'timed out waiting for the rest of the request')
    if (this.#state === 'priming') this.#endPriming()
    else if (this.#state === 'reading' && this.#reader.hasBegun) this.#refuse(late)
    else if (this.#state === 'reading') this.#close({ reason: 'CLIENT_IDLE_TIMEOUT' })
    else if (this.#state === 'draining') this.#abort()
    else setImmediate(this.#expireBody, this.#stream.bytesRead)
  }

  /** Runs after pending reads: in a process that was blocked, timers fire first. */
  readonly #expireBody = (bytesBefore: number): void => {
    if (this.#state !== 'serving') return
    if (this.#stream.bytesRead !== bytesBefore) this.#timer.set(this.#settings.bodyIdleMs)
    else this.#giveUp(new GatewayError('request.timeout', 'the request body stalled'))
  }

  #abort(): void {
    this.#leave()
    this.#stream.destroy()
  }

  /** The client does not take the response any more. */
  readonly #writeFailed = (): void => {
    if (this.#state === 'over') return
    this.#leave(resetByClient({ by: 'peer', how: 'reset' }))
    this.#stream.destroy()
  }

  #leave(why?: ConnectionEnd): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#body?.stop()
    this.#body = undefined
    this.#responder = undefined
    this.#timer.close()
    this.#forwarding.leave(why)
  }
}
