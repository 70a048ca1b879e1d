using System.Text.Json.Nodes;
using Polymath.Models.Decoding;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// A language model: rows of tokens become hidden states, and hidden states become logits, which are computed only where they are needed.
/// </summary>
/// <param name="configuration">The configuration.</param>
/// <param name="parts">The weights and sockets; the model owns them from here on.</param>
public abstract class LanguageModel(JsonObject configuration, ModelParts parts) : IDisposable
{
    /// <summary>The sizes.</summary>
    public abstract ModelSizes Sizes { get; }

    /// <summary>The configuration in the form of Hugging Face's <c>config.json</c>.</summary>
    public JsonObject Configuration { get; } = configuration;

    /// <summary>The settings of generation that belong to the model; null when its folder has none.</summary>
    public GenerationConfig? Generation { get; internal set; }

    /// <summary>The multimodal model around this one, which is written with it; null for a model that stands alone.</summary>
    public Envelope? Envelope { get; internal set; }

    /// <summary>
    /// Notes where the reading differs from what the model's folder seems to say, one sentence each: ignored files, a head that is not
    /// tied.
    /// </summary>
    public IReadOnlyList<string> Notes => parts.Notes;

    /// <summary>Every weight once, in the order of the model. Deltas' weights are not among them.</summary>
    public IReadOnlyList<Weight> Weights => parts.Weights;

    /// <summary>The sockets of linear maps, in the order of the model.</summary>
    public IReadOnlyList<Projection> Projections => parts.Projections;

    /// <summary>Whether every layer has keys and values of the sizes in <see cref="Sizes"/>, so that a prefix can give some.</summary>
    public virtual bool TakesPrefix => true;

    /// <summary>Whether its encoder, beside a decoder, takes keys and values before a source.</summary>
    public virtual bool TakesSourcePrefix => false;

    /// <summary>The sockets of attention, in the order of the model; empty when a family has none.</summary>
    public IReadOnlyList<AttentionSocket> Attentions => parts.Attentions;

    /// <summary>The signature of the model before quantization; null when it is not quantized.</summary>
    public ModelSignature? Unrounded { get; internal set; }

    /// <summary>The direction in which the model reads.</summary>
    public virtual Reading Reading => Reading.Decoder;

    /// <summary>
    /// The token up to which a row is read in both directions, and behind which its answer begins; null for a model that reads forward
    /// throughout. A row without it is read in both directions whole.
    /// </summary>
    public virtual int? PromptEnd => null;

    /// <summary>The token vectors and the output head.</summary>
    public abstract TokenTable Tokens { get; }

    private HeadTie Head => field ??= new HeadTie(this, parts);

    /// <summary>
    /// Gives the head its own weight when it is tied to the token vectors, because one of the two is trained, or both are trained
    /// separately. A head over labels does not change.
    /// </summary>
    public void Untie() => Head.Untie();

    /// <summary>
    /// Undoes one <see cref="Untie"/>; after the last one, the head is tied to the token vectors again. A head that was never tied stays
    /// untied.
    /// </summary>
    public void Tie() => Head.Tie();

    /// <summary>The head over labels, or null for a language model.</summary>
    public LabelHead? Labels { get; protected init; }

    /// <summary>The default projections of low-rank deltas, by the end of their names: PEFT's defaults for the family.</summary>
    public abstract IReadOnlyList<string> DefaultTargets { get; }

    /// <summary>
    /// The maps of a block, by the end of their names, in the order in which transformers makes them; empty where that is the order of use.
    /// </summary>
    public virtual IReadOnlyList<string> MadeOrder => [];

    /// <summary>
    /// Whether attention's scores have a soft cap. It has no effect in families without a cap. The published mathematics has the cap;
    /// transformers' default attention (<c>sdpa</c>) does not apply it.
    /// </summary>
    public virtual bool CapsScores
    {
        get => false;
        set
        {
        }
    }

    /// <summary>What the routers of experts said in the last pass.</summary>
    public RouterRecord Routers => parts.Routers;

    /// <summary>The rotary positions; null for a model without them.</summary>
    public RopeSettings? Rope => parts.Rope;

    /// <summary>The length of a row beyond which its rotary angles depend on it (dynamic and longrope); null when they never do.</summary>
    public int? StretchesBeyond => parts.StretchesBeyond;

    /// <summary>The last hidden states [tokens, hidden], normalised.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="cache">The cache of earlier tokens, in generation.</param>
    public Tensor Hidden(Batch batch, KeyValueCache? cache = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        Router?.Enter(batch);
        read = batch;
        Routers.Clear();
        return States(batch, cache);
    }

    private Batch? read;

    /// <summary>Routes the rows of each batch to their deltas; null when all deltas apply to all rows.</summary>
    public RowRouter? Router { get; set; }

    /// <summary>The last hidden states [tokens, hidden], normalised, computed by the family.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="cache">The cache of earlier tokens, in generation.</param>
    protected abstract Tensor States(Batch batch, KeyValueCache? cache);

    /// <summary>
    /// Whether training keeps only the input of each block and computes the block again in the backward pass: gradient checkpointing (Chen
    /// et al. 2016). It needs less memory and one more forward pass.
    /// </summary>
    public bool GradientCheckpointing { get; set; }

    /// <summary>Runs the residual stream through the blocks. Each block's intermediate tensors are freed after it.</summary>
    /// <param name="blocks">The blocks.</param>
    /// <param name="x">The stream.</param>
    /// <param name="step">Applies one block to the stream.</param>
    protected Tensor Through<T>(IReadOnlyList<T> blocks, Tensor x, Func<T, Tensor, Tensor> step)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        var given = x;
        foreach (var block in blocks)
        {
            var before = x;
            x = Through([before], inputs => step(block, inputs[0]));
            // The operations that compute the gradient hold what they need of it.
            if (!ReferenceEquals(before, given) && !ReferenceEquals(before, x)) before.Dispose();
        }
        return x;
    }

    /// <summary>Runs the stream through one block that has further inputs.</summary>
    /// <param name="inputs">The stream, and further inputs from other parts of the model.</param>
    /// <param name="block">The block.</param>
    protected Tensor Through(Tensor[] inputs, Func<Tensor[], Tensor> block)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(block);
        var part = Routers.IsOn ? Routers.Beside(block) : block;
        var result = GradientCheckpointing && is_grad_enabled() ? Recomputed.Of(Again(part), inputs) : Fused.Part(() => part(inputs));
        return Routers.IsOn ? Routers.Aside(result, inputs[0].size(1)) : result;
    }

    // Between the two computations of a block, another batch may have gone through the model, so the rows' routing is restored.
    private Func<Tensor[], Tensor> Again(Func<Tensor[], Tensor> block)
    {
        if (Router is not { } router) return block;
        var batch = read!;
        return inputs =>
        {
            if (read != batch) router.Enter(batch);
            read = batch;
            return block(inputs);
        };
    }

    /// <summary>The layers between the last hidden states [n, hidden] and the head's map, if any.</summary>
    /// <param name="hidden">The states.</param>
    public virtual Tensor Readout(Tensor hidden) => hidden;

    /// <summary>The prompt of virtual tokens before each row, or null. While it is on, each new batch begins its rows with it.</summary>
    public SoftPrompt? Prompt
    {
        get => Tokens.Prompt;
        set => Tokens.Prompt = value;
    }

    /// <summary>The number of virtual tokens before each row; 0 when there are none.</summary>
    public int VirtualTokens => Prompt is { IsOn: true } prompt ? prompt.Length : 0;

    // A row must fit together with its virtual tokens. An encoder-decoder has distances instead of positions, so it has no limit.
    private void Fits(TokenRow row)
    {
        var room = Sizes.ContextLength - VirtualTokens;
        if (Reading != Reading.EncoderDecoder && row.Length > room)
            throw new InputException($"The row {row.Source} has {row.Length} tokens and {VirtualTokens} virtual ones before them, more "
                + $"than the model's context of {Sizes.ContextLength}. "
                + $"{(room < 2 ? "Take" : $"Write batch: {{maxLength: {room}}}, or take")} fewer virtual tokens.");
    }

    /// <summary>The ids of the virtual tokens before a row.</summary>
    protected int[] Virtual => Prompt is { IsOn: true, GivesSource: false } && !Leads ? Numbers : [];

    /// <summary>The virtual tokens before an encoder-decoder's answer, when the prompt has keys and values.</summary>
    protected int[] Lead => Prompt is { IsOn: true } && Leads ? Numbers : [];

    private bool Leads => Reading == Reading.EncoderDecoder && Prompt!.GivesKeysAndValues;

    private int[] Numbers => [.. Enumerable.Range(Sizes.VocabularySize, Prompt!.Length)];

    /// <summary>
    /// A batch for training or scoring, in the layout of the model: for an encoder-decoder, the start of a row that is not learned is the
    /// source.
    /// </summary>
    /// <param name="rows">The rows, none of them empty.</param>
    /// <param name="shares">Whether rows that follow one another and begin alike may share their beginning, where the model can.</param>
    public Batch Lay(IReadOnlyList<TokenRow> rows, bool shares = false)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (shares && SharesBeginnings) return Batch.Of(rows, shares: true);
        if (Virtual is not { Length: > 0 } first) return Lead.Length > 0 ? Given(Arrange(rows)) : Arrange(rows);
        foreach (var row in rows) Fits(row);
        // A prefix of keys and values has no states, so nothing predicts a row's first token.
        var skipped = Prompt!.GivesKeysAndValues ? 1 : 0;
        return Given(Arrange([.. rows.Select(row => row.Behind(first, skipped))]));
    }

    /// <summary>Whether rows that begin alike can share their beginning: a token sees only tokens before it, by attention.</summary>
    public bool SharesBeginnings => Reading == Reading.Decoder && PromptEnd is null && ReadsByAttention && VirtualTokens == 0
        && Router is null && !Routers.IsOn && Labels is null or { ReadsLastState: true };

    /// <summary>Whether a token gets to know those before it by attention alone.</summary>
    protected virtual bool ReadsByAttention => true;

    private Batch Given(Batch batch) => batch.With(Prompt!, Sizes.VocabularySize);

    /// <summary>A batch for an encoder-decoder whose answers include their start token.</summary>
    /// <param name="sources">The encoder's rows.</param>
    /// <param name="answers">The decoder's rows; each begins with the token that starts an answer.</param>
    public Batch LayPairs(IReadOnlyList<int[]> sources, IReadOnlyList<TokenRow> answers)
    {
        ArgumentNullException.ThrowIfNull(sources);
        int[] first = Virtual, lead = Lead;
        if (lead.Length > 0)
            return Given(Batch.Pairs(
                sources,
                [.. answers.Select(row => row with { Ids = [.. lead, .. row.Ids], Learn = [.. new float[lead.Length], .. row.Learn] })]));
        return Batch.Pairs(first.Length == 0 ? sources : [.. sources.Select(source => (int[])[.. first, .. source])], answers);
    }

    /// <summary>The token that an encoder-decoder reads before an answer that it learns.</summary>
    /// <param name="answer">The answer's tokens.</param>
    public virtual int StartOf(IReadOnlyList<int> answer) =>
        (int?)(Configuration["decoder_start_token_id"] ?? Configuration["pad_token_id"]) ?? 0;

    /// <summary>A batch for an encoder with given masked words.</summary>
    /// <param name="rows">The rows as the model sees them.</param>
    /// <param name="targets">For each token of each row what it stands for, or −100 where it is no target.</param>
    public Batch LayMasked(IReadOnlyList<int[]> rows, IReadOnlyList<int[]> targets)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(targets);
        var first = Virtual;
        if (first.Length == 0) return Batch.Masked(rows, targets);
        var none = Array.ConvertAll(first, _ => -100);
        return Given(
            Batch.Masked([.. rows.Select(row => (int[])[.. first, .. row])], [.. targets.Select(row => (int[])[.. none, .. row])]));
    }

    /// <summary>Makes a batch of rows, with virtual tokens.</summary>
    /// <param name="rows">The rows.</param>
    protected virtual Batch Arrange(IReadOnlyList<TokenRow> rows) => Batch.Of(rows);

    /// <summary>
    /// The most tokens that an answer to a prompt can have within the context. An encoder-decoder's answer is separate from its prompt and
    /// follows one start token.
    /// </summary>
    /// <param name="prompt">The prompt's tokens.</param>
    public int RoomFor(int prompt) => Sizes.ContextLength - (Reading == Reading.EncoderDecoder ? 1 : prompt + Virtual.Length);

    /// <summary>The most tokens that a prompt and its answer may take of a cache.</summary>
    /// <param name="prompt">The prompt's tokens.</param>
    /// <param name="answer">The answer's tokens.</param>
    public int PlacesFor(int prompt, int answer) => prompt + answer + Virtual.Length + Lead.Length;

    /// <summary>The tokens that an answer continues: the prompt; for an encoder-decoder, what its decoder starts with.</summary>
    /// <param name="prompt">The prompt's tokens.</param>
    internal virtual int[] Continued(int[] prompt) => prompt;

    /// <summary>The first batch of generation: prompts with empty slots.</summary>
    /// <param name="prompts">The prompts' tokens.</param>
    /// <param name="slots">The cache slot of each.</param>
    public Batch Begin(IReadOnlyList<int[]> prompts, int[] slots)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        var first = Virtual;
        if (Lead.Length > 0) return Given(Start(prompts, slots));
        return first.Length == 0 ? Start(prompts, slots) : Given(Start([.. prompts.Select(prompt => (int[])[.. first, .. prompt])], slots));
    }

    /// <summary>Makes a batch of prompts, with virtual tokens.</summary>
    /// <param name="prompts">The prompts' tokens.</param>
    /// <param name="slots">The cache slot of each.</param>
    protected virtual Batch Start(IReadOnlyList<int[]> prompts, int[] slots)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return Batch.Continue(prompts, slots, new int[prompts.Count]);
    }

    /// <summary>The logits [n, vocabulary] of hidden states [n, hidden].</summary>
    /// <param name="hidden">The states.</param>
    public Tensor Unembed(Tensor hidden) => Capped(Tokens.Logits(Readout(hidden)));

    /// <summary>
    /// The logits [n, tokens] of some tokens only: without a delta on the head, only their rows of the head are multiplied.
    /// </summary>
    /// <param name="hidden">The states [n, hidden].</param>
    /// <param name="tokens">The tokens.</param>
    public Tensor Unembed(Tensor hidden, IReadOnlyList<long> tokens)
    {
        var chosen = tensor(tokens.ToArray(), device: Tokens.Head.Value.device);
        if (Tokens.HeadMap.Deltas.Count > 0) return Unembed(hidden).index_select(1, chosen);
        return Capped(nn.functional.linear(
            Readout(hidden),
            Tokens.HeadMatrix.index_select(0, chosen).to(ScalarType.Float32),
            Tokens.Bias?.index_select(0, chosen)));
    }

    private Tensor Capped(Tensor logits) => Tokens.SoftCap > 0 ? (logits / Tokens.SoftCap).tanh() * Tokens.SoftCap : logits;

    /// <summary>Σ weight · −log p over the batch's targets, as a scalar with a gradient.</summary>
    /// <param name="batch">The rows.</param>
    public Tensor NegativeLogLikelihood(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var states = Hidden(batch).index_select(0, batch.Places);
        return HasPlainHead
            ? OutputHead.NegativeLogLikelihood(Readout(states), Tokens.HeadMatrix, batch.Targets, batch.Weights)
            : -(Chosen(states, batch.Targets) * batch.Weights).sum();
    }

    /// <summary>log p of each of the batch's targets [targets], with a gradient.</summary>
    /// <param name="batch">The rows.</param>
    public Tensor LogProbabilities(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return LogProbabilities(Hidden(batch).index_select(0, batch.Places), batch.Targets);
    }

    /// <summary>log p of targets [targets], with a gradient, so that other heads share the hidden states.</summary>
    /// <param name="states">The hidden states at the places before the targets [targets, width].</param>
    /// <param name="targets">The targets [targets], 64-bit.</param>
    /// <param name="temperature">What logits are divided by.</param>
    public Tensor LogProbabilities(Tensor states, Tensor targets, double temperature = 1)
    {
        ArgumentNullException.ThrowIfNull(states);
        if (!HasPlainHead) return Chosen(states, targets, temperature);
        var read = Readout(states);
        // The head is linear, so its logits are divided where they come from.
        return OutputHead.LogProbabilities(temperature == 1 ? read : read / temperature, Tokens.HeadMatrix, targets);
    }

    // The kernel computes logits one chunk at a time; a head with a bias, a cap or a delta uses the plain computation.
    private bool HasPlainHead => Tokens.HeadMap.Deltas.Count == 0 && Tokens.HeadBias is null && Tokens.SoftCap == 0;

    private Tensor Chosen(Tensor states, Tensor targets, double temperature = 1) =>
        (temperature == 1 ? Unembed(states) : Unembed(states) / temperature).log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1);

    /// <summary>An empty cache for generating.</summary>
    /// <param name="slots">The rows.</param>
    /// <param name="capacity">The most tokens of a row.</param>
    public virtual KeyValueCache NewCache(int slots, int capacity) => new(
        Sizes.Layers,
        slots,
        Sizes.KeyValueHeads,
        capacity,
        Sizes.HeadWidth);

    /// <summary>The device of the weights.</summary>
    public Device Device => Tokens.Embedding.Value.device;

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the weights.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing) => parts.Dispose();
}
