// The requests of one client connection of HTTP/1, one after the other: the head of the next is not read before the answer to the one
// before is out (FR-06, FR-07), so a client that sends without end is not read any faster than it is answered. The connection to the
// origin belongs to this client alone.

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { valuesOf } from '../../http1/fields.ts'
import { HeadReader } from '../../http1/head-reader.ts'
import { keepsConnection } from '../../http1/persistence.ts'
import { checkMethodBeginning, checkRequestLine, parseRequestHead, type RequestHead } from '../../http1/request-head.ts'
import { formatHead } from '../../http1/serialize.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Session } from '../../proxy/session.ts'
import { carry } from '../../proxy/tunnel.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../transport/byte-stream.ts'
import type { ClientConnection } from '../client-connection.ts'
import { hangUp } from '../close-after-reply.ts'
import { noCredentialsAgain } from '../proxy-credentials.ts'
import { requestError } from './defects.ts'
import { type ForwardSettings, forward } from './forward.ts'
import { type ForwardRequest, understandForward } from './forward-request.ts'
import type { AnswerHead } from './forward-response.ts'
import { Forwarding } from './forwarding.ts'
import { HeldInput } from './held-input.ts'
import { Http1RequestBody } from './http1-request-body.ts'
import { Http1Responder } from './http1-responder.ts'
import { IdleTimer } from './idle-timer.ts'
import type { Departure } from './origin-connection.ts'
import { ResponseOutput } from './output.ts'
import { type Asked, answerError } from './responder.ts'

/** A CONNECT that came over a connection which had been used for forwarding before. What followed it is back in the stream. */
export type ConnectTurn = (client: ClientConnection, head: RequestHead) => void

/** What a client still sends behind an early answer is thrown away for so long; then the connection goes (FR-14). */
const DRAIN_MS = 10_000
/** A chunked body's first size line is waited for so long: what is wrong with it then reaches no origin. A client that waits for the
 *  answer first is served behind that. */
const PRIME_MS = 1_000
/** What is taken of requests behind the one in progress, for the sake of learning that the client is gone. */
const READ_AHEAD_BYTES = 64 * 1024
/** ` HTTP/1.1` and a method, beside the target in a request line */
const MAX_LINE_BESIDE_TARGET = 64

/** what of a request line is looked at before the line is complete */
const MAX_METHOD_LENGTH = 32

type State = 'reading' | 'priming' | 'serving' | 'draining' | 'over'

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

  /** Begins to read; what the client sent so far is in its stream. */
  start(): void {
    this.#stream.setHandler(this)
  }

  /** Lets an idle client go and a busy one after its answer (LC-01). */
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
    if (isMidHead) this.#settings.pipeline.refuse(this.#knock(), leftInTheMiddle())
  }

  #knock() {
    return this.#client.knock('http-forward')
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

  /** A request line that nothing behind it can make sound is refused at its end. */
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

  /** Serves a whole head. */
  #begin(text: string): void {
    this.#state = 'serving'
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
    if (this.#client.mustLogIn && request.authorization === undefined) {
      this.#refuse(noCredentialsAgain(), request)
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
      knock: this.#knock(),
      responder,
      body,
      isOver: () => this.#responder !== responder || this.#state === 'over',
      done: () => this.#answered(),
      switched: (answer: AnswerHead, session: Session) => this.#switch(answer, session),
    }
    const begin = () => forward(client, request, this.#forwarding, this.#settings)
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
      else if (this.#input.hasEnded) this.#refuse(leftInTheMiddle())
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

  /** The answer is out, or the client was shown that it is not whole. */
  #answered(): void {
    if (this.#state === 'over') return
    const keepsAlive = this.#responder?.keepsAlive === true
    this.#responder = undefined
    this.#timer.clear()
    if (this.#stream.isClosed) this.#leave()
    else if (!keepsAlive) this.#close()
    else if (this.#body !== undefined && !this.#body.isDone) this.#beginDraining()
    else this.#beginNext()
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

  /** FIN between two requests, or inside of a head. */
  #ended(): void {
    if (this.#reader.hasBegun) this.#refuse(leftInTheMiddle())
    else this.#close()
  }

  #handOver(head: RequestHead): void {
    this.#leave()
    this.#stream.setHandler(undefined)
    this.#input.release()
    this.#onConnect(this.#client, head)
  }

  /** 101: from here on it is a tunnel with a tunnel's rules (HH-13). */
  #switch({ status, reason, fields }: AnswerHead, session: Session): void {
    const { pipeline } = this.#settings
    this.#output.text(formatHead(`HTTP/1.1 ${status} ${reason}`, fields))
    this.#output.flush()
    this.#leave()
    this.#stream.setHandler(undefined)
    this.#input.release()
    void carry(pipeline, session, this.#stream)
  }

  /** Records and says the last word. `asked`: as far as the request was understood. */
  #refuse(error: GatewayError, asked: Asked & { readonly target?: Target } = NOTHING_ASKED): void {
    const knock = this.#knock()
    this.#settings.pipeline.refuse(asked.target === undefined ? knock : { ...knock, target: asked.target }, error)
    this.#say(error, asked)
  }

  #say(error: GatewayError, asked: Asked): void {
    const to = { method: asked.method, version: '1.1', keepsAlive: false } as const
    answerError(new Http1Responder(this.#stream, this.#output, to), error, asked)
    this.#close()
  }

  /** The request in progress cannot be completed, by the client's fault. */
  #giveUp(error: GatewayError): void {
    if (this.#state === 'over') return
    const responder = this.#responder
    const isRecorded = this.#forwarding.abandon(error)
    if (!isRecorded) this.#settings.pipeline.refuse(this.#knock(), error)
    if (responder?.hasBegun === true && responder.cut()) this.#leave()
    else this.#say(error, NOTHING_ASKED)
  }

  /** Behind what was said the connection goes. */
  #close(why?: Departure): void {
    this.#output.flush()
    this.#leave(why)
    hangUp(this.#stream, this.#client.origin.clock, '')
  }

  /** A kept connection that fell silent just goes; half a request is told so. */
  readonly #expire = (): void => {
    const late = new GatewayError('request.timeout', 'the client did not complete a request in time')
    if (this.#state === 'priming') this.#endPriming()
    else if (this.#state === 'reading' && this.#reader.hasBegun) this.#refuse(late)
    else if (this.#state === 'reading') this.#close({ reason: 'CLIENT_IDLE_TIMEOUT' })
    else if (this.#state === 'draining') this.#abort()
    else setImmediate(this.#expireBody, this.#stream.bytesRead)
  }

  /** Behind a look at what came while nobody could look: a process that was held up has its timers fire first. */
  readonly #expireBody = (bytesBefore: number): void => {
    if (this.#state !== 'serving') return
    if (this.#stream.bytesRead !== bytesBefore) this.#timer.set(this.#settings.bodyIdleMs)
    else this.#giveUp(new GatewayError('request.timeout', 'the request body stands still'))
  }

  #abort(): void {
    this.#leave()
    this.#stream.destroy()
  }

  /** Nobody takes the answer any more. */
  readonly #writeFailed = (): void => {
    if (this.#state === 'over') return
    this.#leave(resetByClient({ by: 'peer', how: 'reset' }))
    this.#stream.destroy()
  }

  #leave(why?: Departure): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#body?.stop()
    this.#body = undefined
    this.#responder = undefined
    this.#timer.close()
    this.#forwarding.leave(why)
  }
}

const NOTHING_ASKED: Asked = { method: '', expectsContinue: false }

function askedBy({ method, fields }: RequestHead): Asked {
  return { method, expectsContinue: valuesOf(fields, 'expect').length > 0 }
}

function resetByClient({ cause }: StreamEnd): Departure {
  const error = new GatewayError('relay.client_reset', 'the client reset the connection', { cause })
  return { reason: error.rendering.close, error }
}

function leftInTheMiddle(): GatewayError {
  return new GatewayError('request.malformed', 'the client left in the middle of its request')
}
