using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Models.Codes;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>The source of the weights of a model under construction.</summary>
public abstract class WeightSource : IDisposable
{
    /// <summary>Whether there is a weight of a name.</summary>
    /// <param name="name">The name in files.</param>
    public abstract bool Has(string name);

    /// <summary>The weight of a name and shape.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="spread">For fresh weights, the standard deviation; null for ones (norms).</param>
    /// <param name="shape">The shape.</param>
    public abstract Weight Get(string name, double? spread, params long[] shape);

    /// <summary>A weight [out, in] that is part of a stack [experts, parts·out, in].</summary>
    /// <param name="name">The weight's own name.</param>
    /// <param name="stack">The stack's name.</param>
    /// <param name="expert">The expert.</param>
    /// <param name="part">The part.</param>
    /// <param name="parts">The number of parts.</param>
    /// <param name="shape">The weight's shape.</param>
    public abstract Weight GetPart(
        string name,
        string stack,
        int expert,
        int part,
        int parts,
        params long[] shape);

    /// <summary>Whether the source holds two weights with different values.</summary>
    /// <param name="first">One name.</param>
    /// <param name="second">The other.</param>
    public virtual bool Differs(string first, string second) => false;

    /// <summary>Lets a weight be read from the place of another weight; does nothing when the source has the weight itself.</summary>
    /// <param name="name">The weight's name.</param>
    /// <param name="place">The name under which the source has it.</param>
    public virtual void ReadFrom(string name, string place)
    {
    }

    /// <summary>Notes where the reading differs from what the files seem to say, one sentence each.</summary>
    public virtual IReadOnlyList<string> Notes => [];

    /// <summary>Ends the construction of the model.</summary>
    /// <param name="needless">Patterns of whole names of weights that may stay unused.</param>
    /// <exception cref="InputException">Weights were missing, unexpected or of the wrong shape: all faults, one per line.</exception>
    public abstract void Finish(IReadOnlyList<string> needless);

    /// <summary>Closes the source. Weights mapped from files must not be used any more.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the source.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}

/// <summary>
/// Fresh weights: normal around zero, norms one, or as the family's initial values are. Each depends only on the seed and its own name.
/// </summary>
/// <param name="seed">The run's seed.</param>
/// <param name="values">The family's initial values; null for the usual ones.</param>
public sealed class FreshWeights(long seed, InitialValues? values = null) : WeightSource
{
    /// <inheritdoc/>
    public override bool Has(string name) => true;

    /// <inheritdoc/>
    public override Weight GetPart(
        string name,
        string stack,
        int expert,
        int part,
        int parts,
        params long[] shape) => Get(name, values?.Spread ?? 0.02, shape);

    /// <inheritdoc/>
    public override void Finish(IReadOnlyList<string> needless)
    {
    }

    /// <inheritdoc/>
    public override Weight Get(string name, double? spread, params long[] shape)
    {
        if (values?.Make(seed, name, shape) is { } special) return new Weight(name, tensor(special, shape));
        if (spread is not { } deviation) return new Weight(name, ones(shape));
        var numbers = new float[shape.Aggregate(1L, (a, b) => a * b)];
        var random = new RandomStream(seed, name);
        for (var i = 0; i < numbers.Length; i++) numbers[i] = (float)(random.NextNormal() * deviation);
        return new Weight(name, tensor(numbers, shape));
    }
}

/// <summary>
/// Weights from files: safetensors, or PyTorch's own. Missing weights, unexpected weights and weights of the wrong shape are refused
/// together, by name. Published files may omit a family's prefix (<c>transformer.</c>, <c>bert.</c>) or use older names for norms
/// (<c>gamma</c>, <c>beta</c>); both are supported.
/// </summary>
public sealed partial class FileWeights : WeightSource
{
    private readonly List<WeightFile> files;
    private readonly Dictionary<string, WeightFile> places = new(StringComparer.Ordinal);
    private readonly HashSet<string> used = new(StringComparer.Ordinal);
    private readonly List<string> faults = [];
    private readonly IReadOnlyCollection<string> allowed;
    private readonly string origin, prefix, wrapper;
    private readonly Dictionary<string, string> elsewhere = new(StringComparer.Ordinal);

    /// <summary>Opens the files of a model.</summary>
    /// <param name="paths">The files.</param>
    /// <param name="origin">The model's name in messages.</param>
    /// <param name="prefix">The prefix that some files omit.</param>
    /// <param name="allowed">Names of weights that may stay unused.</param>
    public FileWeights(IReadOnlyList<string> paths, string origin, string prefix = "", IReadOnlyCollection<string>? allowed = null)
    {
        (this.origin, this.prefix, this.allowed) = (origin, prefix, allowed ?? []);
        files = [];
        try
        {
            foreach (var path in paths) files.Add(WeightFile.OpenAny(path));
        }
        catch
        {
            Dispose();
            throw;
        }
        foreach (var file in files)
        {
            foreach (var name in file.Entries.Keys)
            {
                if (!places.TryAdd(name, file))
                    faults.Add($"{name} is in {places[name].Path} and in {file.Path}. Fetch the files and their index again");
            }
        }
        wrapper = WrapperOf(places.Keys);
        if (wrapper.Length > 0)
            notes = [$"The names of all weights of {origin} begin with \"{wrapper}\", as training wrappers write them; they are read "
                + "without it."];
    }

    private static string WrapperOf(Dictionary<string, WeightFile>.KeyCollection names)
    {
        var wrapper = "";
        while (names.Count > 0 && Array.Find(wrappers, next => names.All(name => name.StartsWith(wrapper + next, StringComparison.Ordinal)))
            is { } inner)
            wrapper += inner;
        return wrapper;
    }

    // The prefixes that data parallelism, torch.compile and activation checkpointing add to every name.
    private static readonly string[] wrappers = ["module.", "_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module."];

    /// <summary>
    /// Modules (regular expressions over the whole name, without <c>.weight</c> and <c>.bias</c>) that get fresh weights when the files
    /// have none.
    /// </summary>
    public (IReadOnlyList<string> Modules, FreshWeights Source)? Fresh { get; init; }

    /// <inheritdoc/>
    public override bool Has(string name) => Find(name) is not null;

    /// <summary>Whether the files hold a weight whose name has a prefix.</summary>
    /// <param name="beginning">The prefix.</param>
    public bool HasUnder(string beginning) => places.Keys.Any(name => name.StartsWith(beginning, StringComparison.Ordinal));

    /// <summary>The shape of a weight in the files; null when they do not have it.</summary>
    /// <param name="name">The name in files.</param>
    public IReadOnlyList<long>? ShapeOf(string name) => Find(name) is { } found ? ShapeAt(found) : null;

    private IReadOnlyList<long> ShapeAt(string found) =>
        coded?.Weights.TryGetValue(found, out var weight) is true ? weight.Shape : places[found].Entries[found].Shape;

    // The values of a stored weight; the caller owns the tensor.
    private Tensor Numbers(string found) =>
        coded?.Weights.TryGetValue(found, out var weight) is true ? weight.Make() : places[found].Map(found);

    private string? Find(string name) => Spellings(name).FirstOrDefault(Stored)
        ?? (elsewhere.TryGetValue(name, out var place) ? Spellings(place).FirstOrDefault(Stored) : null);

    private bool Stored(string name) => places.ContainsKey(name) || coded?.Weights.ContainsKey(name) is true;

    /// <summary>Decodes weights that the files hold as codes. The method is removed from the configuration.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InputException">The codes are of a method or layout that is not read.</exception>
    internal void Decode(JsonObject configuration, string folder)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ofModel = true;
        coded = CodedFolder.Of(configuration, folder, new StoredTensors(places));
        foreach (var key in CodedFolder.Keys) configuration.Remove(key);
        if (coded is null) return;
        notes = [.. notes, coded.Weights.Count > 0
            ? $"{coded.Weights.Count} weights of {folder} are codes of {coded.Method}; they are decoded when read and "
                + "written in full."
            : $"config.json of {folder} names {coded.Method}, but its weights are stored in full; they are read unchanged."];
    }

    private CodedWeights? coded;

    // An adapter's file may hold integers that are not codes: SHiRA's places.
    private bool ofModel;

    /// <inheritdoc/>
    public override void ReadFrom(string name, string place) => elsewhere[name] = place;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Notes => notes;

    /// <summary>Notes about the files, shown with the model's own.</summary>
    internal IReadOnlyList<string> Remarks { init => notes = [.. notes, .. value]; }

    private IReadOnlyList<string> notes = [];

    /// <inheritdoc/>
    public override bool Differs(string first, string second)
    {
        if (Find(first) is not { } one || Find(second) is not { } other || one == other) return false;
        if (!ShapeAt(one).SequenceEqual(ShapeAt(other))) return true;
        using Tensor left = Numbers(one), right = Numbers(other);
        // One slice at a time: a table of tokens may have gigabytes.
        for (long at = 0; at < left.size(0); at += RowsCompared)
        {
            var count = Math.Min(RowsCompared, left.size(0) - at);
            using Tensor a = left.narrow(0, at, count), b = right.narrow(0, at, count), unlike = a.ne(b), any = unlike.any();
            if (any.item<bool>()) return true;
        }
        return false;
    }

    private const long RowsCompared = 4096;

    private IEnumerable<string> Spellings(string name) => Bare(name).Select(spelling => wrapper + spelling);

    private IEnumerable<string> Bare(string name)
    {
        yield return name;
        var bare = prefix.Length > 0 && name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name;
        yield return bare;
        if (IsWrapped)
        {
            yield return Before + name;
            yield return Within + bare;
        }
        if (!name.Contains("LayerNorm.", StringComparison.Ordinal)) yield break;
        foreach (var spelling in new[] { name, bare })
            yield return spelling.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal)
                .Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal);
    }

    /// <inheritdoc/>
    public override Weight Get(string name, double? spread, params long[] shape)
    {
        if (Find(name) is not { } found)
        {
            if (Fresh is { } fresh && fresh.Modules.Any(module => Regex.IsMatch(name, $@"^({module})\.(weight|bias)$")))
                return fresh.Source.Get(name, spread, shape);
            var hint = name == "lm_head.weight"
                ? ": a model whose head is its table of tokens says so in config.json, \"tie_word_embeddings\": true" : "";
            faults.Add($"{name} [{string.Join(", ", shape)}] is missing{hint}");
            return new Weight(name, zeros(1));
        }
        Use(found);
        if (!ShapeAt(found).SequenceEqual(shape))
        {
            faults.Add($"{found} has the shape [{string.Join(", ", ShapeAt(found))}], the configuration needs "
                + $"[{string.Join(", ", shape)}]");
            return new Weight(name, zeros(1));
        }
        return IsCode(found) ? new Weight(name, zeros(1)) : Mapped(name, Numbers(found));
    }

    /// <inheritdoc/>
    public override Weight GetPart(
        string name,
        string stack,
        int expert,
        int part,
        int parts,
        params long[] shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        if (Find(stack) is not { } found)
        {
            faults.Add($"{name} [{string.Join(", ", shape)}] is missing, and so is {stack}");
            return new Weight(name, zeros(1));
        }
        Use(found);
        var stored = ShapeAt(found);
        if (stored.Count != 3 || expert >= stored[0] || stored[1] != parts * shape[0] || stored[2] != shape[1])
        {
            faults.Add($"{found} has the shape [{string.Join(", ", stored)}], the configuration needs [experts, {parts * shape[0]}, "
                + $"{shape[1]}]");
            return new Weight(name, zeros(1));
        }
        if (IsCode(found)) return new Weight(name, zeros(1));
        using var whole = Numbers(found);
        using var one = whole.select(0, expert);
        return Mapped(name, one.narrow(0, part * shape[0], shape[0]));
    }

    private void Use(string found)
    {
        used.Add(found);
        if (coded?.Weights.TryGetValue(found, out var weight) is true) used.UnionWith(weight.Parts);
    }

    // Integers are never weights: without their scales, the values would be about a hundred times too large.
    private bool IsCode(string found)
    {
        if (!ofModel || coded?.Weights.ContainsKey(found) is true) return false;
        if (Float8Codes.IsScaled(new StoredTensors(places), found))
        {
            faults.Add($"{found} is {places[found].Entries[found].Kind} with scales of its own, in a layout that is not read (a stack of "
                + "experts, or no .weight). Fetch the model in 16 bits");
            return true;
        }
        if (!CodedFolder.IsCode(places[found].Entries[found].Kind)) return false;
        faults.Add($"{found} is {places[found].Entries[found].Kind}: codes of a quantized weight, and config.json names no method "
            + "(quantization_config). Fetch the model in 16 bits");
        return true;
    }

    private static Weight Mapped(string name, Tensor mapped)
    {
        var kept = mapped.dtype is ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16;
        if (kept && mapped.is_contiguous()) return new Weight(name, mapped);
        using (mapped) return new Weight(name, kept ? mapped.contiguous() : mapped.to(ScalarType.Float32).contiguous());
    }

    /// <inheritdoc/>
    public override void Finish(IReadOnlyList<string> needless)
    {
        ArgumentNullException.ThrowIfNull(needless);
        if (coded?.Needless is { } also) needless = [.. needless, also];
        bool Fits(string name) =>
            needless.Any(pattern => Regex.IsMatch(name, $"^(?:{pattern})$", RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1)));
        if (IsWrapped) SetAside();
        bool Known(string name) => allowed.Contains(name) || Aside(name)
            || Fits(name[wrapper.Length..]) || Fits(prefix + name[wrapper.Length..]) || IsWrapped && Fits(Own(name[wrapper.Length..]));
        foreach (var name in places.Keys.Where(name => !used.Contains(name) && !Known(name)))
        {
            var codes = CodedFolder.IsCode(places[name].Entries[name].Kind) || Float8Codes.IsScale(new StoredTensors(places), name);
            var hint = codes ? "" : $" (if it is known to be needless: --allow {name})";
            faults.Add($"{name} is in the file but not in the model{hint}");
        }
        if (faults.Count == 0) return;
        throw new InputException($"The weights of {origin} do not fit its config.json:\n  " + string.Join("\n  ", faults.Take(20))
            + (faults.Count > 20 ? $"\n  and {faults.Count - 20} more" : ""));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        files.ForEach(file => file.Dispose());
        base.Dispose(disposing);
    }
}
