using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>How a fresh weight starts.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="Spread">The standard deviation, or the bound of a uniform distribution.</param>
/// <param name="Uniform">Whether it is uniform.</param>
public readonly record struct Start(double Mean, double Spread = 0, bool Uniform = false)
{
    /// <summary>Zeros.</summary>
    public static Start Zero => new(0);

    /// <summary>Ones.</summary>
    public static Start One => new(1);

    /// <summary>Normal around zero.</summary>
    /// <param name="deviation">The standard deviation.</param>
    public static Start Normal(double deviation) => new(0, deviation);

    /// <summary>Uniform in ±1/√fan: Kaiming's rule with a = √5 (He et al. 2015), as in PyTorch's linear layers.</summary>
    /// <param name="fan">The number of inputs.</param>
    public static Start Kaiming(long fan) => new(0, 1 / Math.Sqrt(fan), Uniform: true);

    internal float[] Draw(long count, RandomStream random)
    {
        var values = new float[count];
        for (var i = 0; i < values.Length; i++)
            values[i] = (float)(Mean + (Spread == 0 ? 0 : Next(ref random) * Spread));
        return values;
    }

    private double Next(ref RandomStream random) => Uniform ? 2 * random.NextDouble() - 1 : random.NextNormal();
}

/// <summary>
/// The input of a method that attaches an adapter: its settings, the model's sockets, and weights that are fresh or come from a file. The
/// same code serves both.
/// </summary>
public sealed class DeltaParts
{
    private readonly DeltaSet set;
    private readonly FileWeights? files;
    private readonly Func<string, string> nameInFile;
    private readonly long seed;

    internal DeltaParts(DeltaSet set, FileWeights? files, long seed, Func<string, string>? nameInFile = null) =>
        (this.set, this.files, this.seed, this.nameInFile) = (set, files, seed, nameInFile ?? (name => name));

    /// <summary>The settings.</summary>
    public AdapterConfiguration Configuration => set.Configuration;

    /// <summary>The model.</summary>
    public LanguageModel Model => set.Model;

    /// <summary>Whether the deltas are on, and whether they train.</summary>
    public DeltaSwitch State => set.State;

    /// <summary>The seed of fresh weights.</summary>
    public long Seed => seed;

    /// <summary>Turns a text into the model's tokens; null without a tokenizer.</summary>
    public Func<string, int[]>? Encode { get; init; }

    /// <summary>Keeps a tensor that is neither trained nor saved for the lifetime of the adapter.</summary>
    /// <param name="made">The tensor.</param>
    public Tensor Own(Tensor made) => set.Own(made);

    /// <summary>Whether weights are initialized, not read.</summary>
    public bool IsFresh => files is null;

    /// <summary>The projections that the settings name, including the output head when it is named.</summary>
    public IEnumerable<Projection> Targets =>
        Model.Projections.Where(map => Configuration.Targets(map) && Reaches(map)).Concat(
            Model.Labels is null && Configuration.Targets(Model.Tokens.HeadMap.Name, linear: false) ? [Model.Tokens.HeadMap] : []);

    // PEFT names stacks that files hold as such in a setting of their own; a file that names each expert's map is ours.
    private bool Reaches(Projection map) => map.Stack is not { } place
        || ReachesExperts && !(IsFresh && place.IsWhole && DeltaMethods.Of(Configuration).StackKey is not null);

    // A model of transformers 5 holds all experts of a layer in one tensor, where PEFT finds no linear maps. There, a name like down_proj
    // means only maps outside the experts. Kinds that PEFT does not have are always ours.
    private bool ReachesExperts =>
        reachesExperts ??= files is null || Configuration.Type.StartsWith("POLYMATH_", StringComparison.Ordinal)
            || nameInFile(AdapterConfiguration.Prefix) != AdapterConfiguration.Prefix
            || Model.Projections.Any(map => map.Stack is not null && files.HasUnder($"{AdapterConfiguration.Prefix}{map.Name}."));

    private bool? reachesExperts;

    /// <summary>Whether the settings name the table of token vectors.</summary>
    public bool TargetsTokens => Configuration.Targets(Model.Tokens.Name, linear: false);

    /// <summary>A trained weight of a module, under PEFT's name.</summary>
    /// <param name="module">The module.</param>
    /// <param name="parameter">The parameter, such as <c>lora_A.weight</c>.</param>
    /// <param name="start">How it starts.</param>
    /// <param name="shape">Its shape.</param>
    public Weight Weight(string module, string parameter, Start start, params long[] shape) =>
        Named($"{AdapterConfiguration.Prefix}{module}.{parameter}", start, shape);

    /// <summary>A trained weight under a whole name.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="start">How it starts.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="stream">The random stream of a fresh weight; the name when left out.</param>
    public Weight Named(string name, Start start, long[] shape, string? stream = null)
    {
        var weight = Make(name, start, shape, stream);
        set.Keep(name, weight, trained: true);
        return weight;
    }

    /// <summary>A weight that is saved and never trained (projections that all modules share).</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="start">How it starts.</param>
    /// <param name="shape">Its shape.</param>
    public Weight Fixed(string name, Start start, params long[] shape)
    {
        var weight = Make(name, start, shape, null);
        set.Keep(name, weight, trained: false);
        return weight;
    }

    /// <summary>Keeps an unused tensor of a file, so that it is saved again.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="shape">Its shape.</param>
    public void Keep(string name, params long[] shape)
    {
        if (files?.Has(nameInFile(name)) == true) set.Keep(name, Make(name, Start.Zero, shape, null), trained: false);
    }

    private Weight Make(string name, Start start, long[] shape, string? stream)
    {
        if (files is null)
        {
            if (shape.Aggregate(1.0, (a, b) => a * b) > Array.MaxLength)
                throw new InputException($"{Configuration.Origin}: {name} would be [{string.Join(", ", shape)}], more values than fit "
                    + "into memory. Lower the adapter's size.");
            // Copied into libtorch's own memory: the address of our own array differs from run to run, and the rounding of products depends
            // on it.
            using var drawn = tensor(start.Draw(shape.Aggregate(1L, (a, b) => a * b), new RandomStream(seed, stream ?? name)), shape);
            return new Weight(name, drawn.clone());
        }
        // The adapter is small and lives longer than its open file, so it gets its own memory, in full precision.
        using var held = files.Get(nameInFile(name), null, shape).Value;
        return new Weight(name, held.to(ScalarType.Float32, copy: true));
    }

    /// <summary>Whether the file holds a parameter of a module.</summary>
    /// <param name="module">The module.</param>
    /// <param name="parameter">The parameter.</param>
    public bool Holds(string module, string parameter) =>
        files?.Has(nameInFile($"{AdapterConfiguration.Prefix}{module}.{parameter}")) ?? false;

    /// <summary>The shape of a module's parameter in the file; null where there is none.</summary>
    /// <param name="module">The module.</param>
    /// <param name="parameter">The parameter.</param>
    public IReadOnlyList<long>? ShapeOf(string module, string parameter) =>
        files?.ShapeOf(nameInFile($"{AdapterConfiguration.Prefix}{module}.{parameter}"));

    /// <summary>Whether the file holds a tensor of a whole name.</summary>
    /// <param name="name">The name.</param>
    public bool HoldsWhole(string name) => files?.Has(name) ?? false;

    /// <summary>Whether a prompt's encoder exists: it is fresh, or it is in its own file.</summary>
    public bool HoldsEncoder => files?.Has("embedding.weight") ?? true;

    /// <summary>Attaches a delta to a projection.</summary>
    /// <param name="target">The projection.</param>
    /// <param name="delta">The delta.</param>
    public void Plug(Projection target, Delta delta) => set.Plug(target, delta);

    /// <summary>Attaches a delta to the table of token vectors.</summary>
    /// <param name="delta">The delta.</param>
    public void Plug(TokenDelta delta) => set.Plug(delta);

    /// <summary>Puts a prompt of virtual tokens before each row.</summary>
    /// <param name="prompt">The prompt.</param>
    public void Plug(SoftPrompt prompt) => set.Plug(prompt);

    /// <summary>Lets a layer's tokens attend to additional vectors.</summary>
    /// <param name="socket">The layer's socket.</param>
    /// <param name="addition">What they attend to.</param>
    public void Plug(AttentionSocket socket, AttentionAddition addition) => set.Plug(socket, addition);

    /// <summary>Registers a method's extra work around training steps.</summary>
    /// <param name="course">The extra work.</param>
    public void Follow(DeltaCourse course) => set.Course = course;

    /// <summary>
    /// Lets one of the model's own weights be trained and saved with the adapter; the old value is restored when the adapter is detached.
    /// </summary>
    /// <param name="weight">The model's weight.</param>
    /// <param name="name">Its name in the adapter's file.</param>
    public void Choose(Weight weight, string name)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (files is null)
        {
            set.Choose(name, weight, null, trained: true);
            return;
        }
        using var held = files.Get(nameInFile(name), null, weight.Value.shape).Value;
        set.Choose(name, weight, held.to(ScalarType.Float32, copy: true), trained: true);
    }

    /// <summary>
    /// Loads a copy of one of the model's own weights from the file (PEFT saves a table whose vectors it changes). The copy is saved again
    /// and not trained.
    /// </summary>
    /// <param name="weight">The model's weight.</param>
    /// <param name="name">Its name in the adapter's file.</param>
    public void Bring(Weight weight, string name)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (files?.Has(nameInFile(name)) != true) return;
        using var held = files.Get(nameInFile(name), null, weight.Value.shape).Value;
        if (!set.Choose(name, weight, held.to(ScalarType.Float32, copy: true), trained: false)) set.Echo(name, weight);
    }

    /// <summary>Records that a file holds one of the model's own weights a second time, so that it is saved twice again.</summary>
    /// <param name="weight">The model's weight.</param>
    /// <param name="name">Its other name in the adapter's file.</param>
    /// <param name="fresh">Whether a fresh adapter writes it, too.</param>
    /// <returns>Whether it is saved under that name.</returns>
    public bool Echo(Weight weight, string name, bool fresh = false)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (files is null ? !fresh : !files.Has(nameInFile(name))) return false;
        files?.Get(nameInFile(name), null, weight.Value.shape).Value.Dispose();
        set.Echo(name, weight);
        return true;
    }

    /// <summary>Gives the output head its own weights while the adapter is attached, when the head is tied to the token vectors.</summary>
    public void Untie() => set.Untie();

    /// <summary>Throws a fault of the settings.</summary>
    /// <param name="key">The setting.</param>
    /// <param name="wish">What is needed.</param>
    public InputException Fault(string key, string wish) => Configuration.Fault(key, wish);
}
