using System.Text.RegularExpressions;
using Polymath.Models.Parts;

namespace Polymath.Models;

/// <summary>
/// The parts of a model under construction: gets weights from the source and keeps them and the sockets in the order of the model.
/// </summary>
/// <param name="source">The source of the weights.</param>
/// <param name="spread">The standard deviation of fresh weights.</param>
public sealed class ModelParts(WeightSource source, double spread = 0.02) : IDisposable
{
    private readonly List<Weight> weights = [];
    private readonly List<Projection> projections = [];
    private readonly List<Rotary> rotaries = [];
    private readonly List<AttentionSocket> attentions = [];
    // Older tools saved the rotary frequencies with the weights.
    private readonly List<string> needless = [@".*\.rotary_emb\.inv_freq"];

    /// <summary>Every weight once.</summary>
    public IReadOnlyList<Weight> Weights => weights;

    /// <summary>The sockets of linear maps.</summary>
    public IReadOnlyList<Projection> Projections => projections;

    /// <summary>The sockets of attention, in the order of the model; empty when a family has none.</summary>
    public IReadOnlyList<AttentionSocket> Attentions => attentions;

    /// <summary>What the routers of experts say.</summary>
    public RouterRecord Routers { get; } = new();

    /// <summary>The rotary positions; null when there are none.</summary>
    public RopeSettings? Rope => rotaries.FirstOrDefault()?.Settings;

    /// <summary>The length of a row beyond which some rotary angles depend on the length; null when they never do.</summary>
    public int? StretchesBeyond => rotaries.Select(rotary => rotary.StretchesBeyond).Min();

    /// <summary>Whether the source has a weight; a source of fresh weights has all.</summary>
    /// <param name="name">The name in files.</param>
    public bool Has(string name) => source.Has(name);

    /// <summary>A weight, stored in 32 bits.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="shape">The shape.</param>
    public Weight Weight(string name, params long[] shape) => Keep(source.Get(name, spread, shape));

    // Maps and tables keep the 16 bits of their file until they are trained; values are widened when used.
    private Weight Map(string name, params long[] shape) => Keep(source.Get(name, spread, shape), narrow: true);

    /// <summary>A bias: zeros when fresh.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="width">The width.</param>
    public Weight Bias(string name, int width) => Keep(source.Get(name, 0, width));

    /// <summary>A normalisation: <c>NAME.weight</c> and, where asked, <c>NAME.bias</c>.</summary>
    /// <param name="kind">The kind.</param>
    /// <param name="name">The module's name.</param>
    /// <param name="width">The width.</param>
    /// <param name="epsilon">The number added to the variance.</param>
    /// <param name="bias">Whether a layer norm has a bias.</param>
    public Norm Norm(
        NormKind kind,
        string name,
        int width,
        double epsilon,
        bool bias = true)
    {
        // A weight in the form 1 + w starts with w at zero.
        var weight = Keep(source.Get(name + ".weight", kind == NormKind.RmsFromOne ? 0 : null, width));
        return new Norm(kind, weight, kind == NormKind.Layer && bias ? Bias(name + ".bias", width) : null, epsilon);
    }

    /// <summary>A norm of heads with a weight for each: <c>NAME.weight</c> [heads, width], no bias.</summary>
    /// <param name="kind">The kind.</param>
    /// <param name="name">The module's name.</param>
    /// <param name="heads">The heads.</param>
    /// <param name="width">The width of a head.</param>
    /// <param name="epsilon">The number added to the variance.</param>
    public Norm HeadsNorm(
        NormKind kind,
        string name,
        int heads,
        int width,
        double epsilon) => new(kind, Keep(source.Get(name + ".weight", null, heads, width)), null, epsilon);

    /// <summary>A weight that is stored with the model but never trained; zeros when fresh.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="shape">The shape.</param>
    public Weight Fixed(string name, params long[] shape) => Fixed(name, one: false, shape);

    /// <summary>A weight that is stored with the model but never trained.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="one">Whether it is one when fresh, instead of zero.</param>
    /// <param name="shape">The shape.</param>
    public Weight Fixed(string name, bool one, params long[] shape)
    {
        var weight = Keep(source.Get(name, one ? null : 0, shape));
        weight.IsFixed = true;
        return weight;
    }

    /// <summary>A weight that is no map: ones when fresh.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="shape">The shape.</param>
    public Weight Scale(string name, params long[] shape) => Keep(source.Get(name, null, shape));

    /// <summary>A linear map: <c>NAME.weight</c> [out, in] and, where asked, <c>NAME.bias</c>.</summary>
    /// <param name="name">The module's name.</param>
    /// <param name="role">Its role.</param>
    /// <param name="layer">The block that contains it.</param>
    /// <param name="output">The width it maps to.</param>
    /// <param name="input">The width it maps from.</param>
    /// <param name="bias">Whether it has a bias.</param>
    /// <param name="transposed">Whether files hold the weight as [in, out] (GPT-2's <c>Conv1D</c>).</param>
    public Projection Linear(
        string name,
        Role role,
        int layer,
        int output,
        int input,
        bool bias = false,
        bool transposed = false)
    {
        var weight = transposed ? Map(name + ".weight", input, output) : Map(name + ".weight", output, input);
        var projection = new Projection(
            name,
            role,
            layer,
            weight,
            bias ? Bias(name + ".bias", output) : null,
            transposed);
        projections.Add(projection);
        return projection;
    }

    /// <summary>
    /// An expert's linear map, which some files stack with those of the other experts: part <paramref name="part"/> of
    /// <paramref name="parts"/> of the expert's rows.
    /// </summary>
    /// <param name="name">The module's name.</param>
    /// <param name="stack">The name of the stack [experts, parts·out, in].</param>
    /// <param name="expert">The expert.</param>
    /// <param name="part">The part.</param>
    /// <param name="parts">The number of parts.</param>
    /// <param name="role">Its role.</param>
    /// <param name="layer">The block that contains it.</param>
    /// <param name="output">The width it maps to.</param>
    /// <param name="input">The width it maps from.</param>
    public Projection Expert(
        string name,
        string stack,
        int expert,
        int part,
        int parts,
        Role role,
        int layer,
        int output,
        int input)
    {
        var weight = source.Has(name + ".weight") ? source.Get(name + ".weight", spread, output, input) : source.GetPart(
            name + ".weight",
            stack,
            expert,
            part,
            parts,
            output,
            input);
        var projection = new Projection(
            name,
            role,
            layer,
            Keep(weight, narrow: true),
            null,
            stack: new StackPlace(stack, expert, part, parts));
        projections.Add(projection);
        return projection;
    }

    /// <summary>
    /// The linear maps of all experts of a layer whose files hold them in one weight, and their biases in another: a socket for each
    /// expert, named as if its map stood alone.
    /// </summary>
    /// <param name="stack">The name of the weight [experts, out, in], or [experts, in, out] where transposed.</param>
    /// <param name="names">What stands before and after an expert's number in the name of its map.</param>
    /// <param name="role">Their role.</param>
    /// <param name="layer">The block that contains them.</param>
    /// <param name="sizes">The number of experts, the width they map to, and the width they map from.</param>
    /// <param name="form">How files hold them.</param>
    public IReadOnlyList<Projection> Stacked(
        string stack,
        (string Before, string After) names,
        Role role,
        int layer,
        (int Experts, int Output, int Input) sizes,
        StackForm form = default)
    {
        var (experts, output, input) = sizes;
        var weight = form.IsTransposed ? Map(stack, experts, input, output) : Map(stack, experts, output, input);
        var bias = form.HasBias ? Keep(source.Get(stack + "_bias", 0, experts, output)) : null;
        var maps = Enumerable.Range(0, experts).Select(expert => new Projection(
            $"{names.Before}{expert}.{names.After}",
            role,
            layer,
            weight,
            bias,
            form.IsTransposed,
            new StackPlace(stack, expert, 0, 1) { IsWhole = true, IsSwapped = form.IsSwapped })).ToList();
        projections.AddRange(maps);
        return maps;
    }

    /// <summary>A socket for vectors that a layer's tokens attend to in addition.</summary>
    /// <param name="name">The attention's name in files.</param>
    /// <param name="layer">The block that contains it.</param>
    public AttentionSocket Attention(string name, int layer)
    {
        var socket = new AttentionSocket(name, layer);
        attentions.Add(socket);
        return socket;
    }

    /// <summary>Rotary positions; their tables live as long as the model.</summary>
    /// <param name="settings">The frequencies.</param>
    /// <param name="headWidth">The width of a head, even.</param>
    /// <param name="interleaved">Whether neighbouring elements are paired instead of the two halves.</param>
    public Rotary Rotary(RopeSettings settings, int headWidth, bool interleaved = false)
    {
        var rotary = new Rotary(settings, headWidth, interleaved);
        rotaries.Add(rotary);
        return rotary;
    }

    /// <summary>
    /// The token vectors and the output head: the same table when the configuration ties them, or when a head over labels replaces the
    /// output head.
    /// </summary>
    /// <param name="read">The configuration.</param>
    /// <param name="embedding">The name of the vectors' weight.</param>
    /// <param name="head">The name of the head's weight.</param>
    /// <param name="vocabulary">The number of tokens.</param>
    /// <param name="width">The vectors' width.</param>
    /// <param name="tied">Whether they are tied by default.</param>
    public TokenTable Tokens(
        ConfigReader read,
        string embedding,
        string head,
        int vocabulary,
        int width,
        bool tied = false)
    {
        ArgumentNullException.ThrowIfNull(read);
        var one = LabelHead.TaskOf(read) is not null || Ties(read, embedding, head, tied);
        var table = Table(embedding, vocabulary, width);
        if (!one) return new TokenTable(table, Table(head, vocabulary, width), head[..head.LastIndexOf('.')]);
        // Some tools write the tied head a second time.
        needless.Add(Regex.Escape(head));
        return new TokenTable(table, table, head[..head.LastIndexOf('.')]);
    }

    /// <summary>The token vectors and the output head by the names that most families have.</summary>
    /// <param name="read">The configuration.</param>
    /// <param name="sizes">The model's sizes.</param>
    /// <param name="tied">Whether they are tied by default.</param>
    public TokenTable Tokens(ConfigReader read, ModelSizes sizes, bool tied = false)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        return Tokens(
            read,
            "model.embed_tokens.weight",
            "lm_head.weight",
            sizes.VocabularySize,
            sizes.HiddenSize,
            tied);
    }

    /// <summary>
    /// Whether the head is tied to the token vectors: the configuration ties them, and the files do not hold both with different values. As
    /// in transformers 5 (<c>PreTrainedModel.tie_weights</c>), different stored values win over the configuration, and when only the head
    /// is stored, it is the table.
    /// </summary>
    /// <param name="read">The configuration; it is changed to what was found, so that a written model is read in the same way.</param>
    /// <param name="embedding">The name of the vectors' weight.</param>
    /// <param name="head">The name of the head's weight.</param>
    /// <param name="tied">Whether they are tied by default.</param>
    public bool Ties(ConfigReader read, string embedding, string head, bool tied)
    {
        ArgumentNullException.ThrowIfNull(read);
        if (!read.Bool("tie_word_embeddings", tied)) return false;
        if (source.Differs(embedding, head))
        {
            read.Correct("tie_word_embeddings", false);
            notes.Add($"config.json ties the output head to the token vectors, but the files hold {head} and {embedding} with different "
                + "values. The head is read as it is stored, as in transformers. Set tie_word_embeddings to false to state this.");
            return false;
        }
        source.ReadFrom(embedding, head);
        return true;
    }

    /// <summary>
    /// The bias of a BERT's head over words. When the head is not tied, its bias is not tied either, and files hold two; the one that is
    /// not the head's is never used and is kept only for the file.
    /// </summary>
    /// <param name="head">The name of the head's weight.</param>
    /// <param name="bias">The name of the bias that a tied head has.</param>
    /// <param name="vocabulary">The number of tokens.</param>
    /// <param name="tied">Whether the head is tied.</param>
    public Weight HeadBias(string head, string bias, int vocabulary, bool tied)
    {
        ArgumentNullException.ThrowIfNull(head);
        var own = head.Replace(".weight", ".bias", StringComparison.Ordinal);
        if (tied || source is FreshWeights || !Has(own)) return Bias(bias, vocabulary);
        Bias(bias, vocabulary);
        return Bias(own, vocabulary);
    }

    /// <summary>Whether the files hold two weights with different values.</summary>
    /// <param name="first">One name.</param>
    /// <param name="second">The other.</param>
    public bool Differs(string first, string second) => source.Differs(first, second);

    /// <summary>Notes where the reading differs from what the folder seems to say, one sentence each.</summary>
    public IReadOnlyList<string> Notes => [.. source.Notes, .. notes];

    private readonly List<string> notes = [];

    /// <summary>Adds a weight to a finished model.</summary>
    internal void Take(Weight weight) => weights.Add(weight);

    /// <summary>Removes and frees a weight that was added later.</summary>
    internal void Release(Weight weight)
    {
        weights.Remove(weight);
        weight.Free();
    }

    /// <summary>A table of token vectors.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="vocabulary">The number of tokens.</param>
    /// <param name="width">The vectors' width.</param>
    public Weight Table(string name, int vocabulary, int width) => Map(name, vocabulary, width);

    /// <summary>
    /// Ends the construction: unused weights in the files are a fault, except those that are known to be needless (a tied head, rotary
    /// frequencies).
    /// </summary>
    /// <param name="also">Further patterns of names (regular expressions over the whole name) that are known and not needed.</param>
    public void Finish(params string[] also) => source.Finish([.. needless, .. also]);

    private Weight Keep(Weight weight, bool narrow = false)
    {
        if (!narrow) weight.Widen();
        weights.Add(weight);
        return weight;
    }

    /// <summary>Frees the weights and closes the files behind them.</summary>
    public void Dispose()
    {
        foreach (var weight in weights) weight.Free();
        foreach (var rotary in rotaries) rotary.Dispose();
        source.Dispose();
    }
}
