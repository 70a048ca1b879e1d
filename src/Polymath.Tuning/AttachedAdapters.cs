using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// Adapters that are attached to a model together: one from its own folder, or several from a folder with a sub-folder for each (as PEFT
/// keeps those that are not called default) and an <c>adapters.json</c> that says how they come together.
/// </summary>
public sealed class AttachedAdapters : IDisposable
{
    /// <summary>The file that names the adapters of a folder.</summary>
    public const string IndexFile = "adapters.json";

    private readonly List<DeltaSet> sets = [];
    private AdapterMixture? mixture;

    private AttachedAdapters()
    {
    }

    /// <summary>The adapters.</summary>
    public IReadOnlyList<DeltaSet> Sets => sets;

    /// <summary>Attaches what lies in a folder.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="anyBase">Whether it may be put on another model than the one it was made for.</param>
    /// <exception cref="InputException">A file is missing or damaged, or the adapters take rows of their own, so that one has to be
    /// chosen.</exception>
    public static AttachedAdapters Load(LanguageModel model, string folder, bool anyBase = false)
    {
        var attached = new AttachedAdapters();
        try
        {
            if (!File.Exists(Path.Combine(folder, IndexFile)))
            {
                attached.sets.Add(DeltaSet.Load(model, folder, anyBase));
                return attached;
            }
            var (together, names) = ReadIndex(folder);
            if (together == Together.Route)
                throw new InputException($"{folder} holds adapters that were each trained on rows of their own. Choose one: --adapter "
                    + $"{string.Join(", or --adapter ", names.Select(name => Path.Combine(folder, name)))}.");
            foreach (var name in names) attached.sets.Add(DeltaSet.Load(model, Path.Combine(folder, name), anyBase));
            if (together == Together.Mix) attached.mixture = AdapterMixture.Load(model, attached.sets, folder);
            return attached;
        }
        catch
        {
            attached.Dispose();
            throw;
        }
    }

    /// <summary>Writes down which adapters a folder holds.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="together">How they come together.</param>
    /// <param name="names">Their names, in order.</param>
    public static void WriteIndex(string folder, Together together, IEnumerable<string> names) => AtomicFile.WriteText(
        Path.Combine(folder, IndexFile),
        new JsonObject
        {
            ["together"] = JsonNamingPolicy.CamelCase.ConvertName(together.ToString()),
            ["adapters"] = new JsonArray([.. names.Select(name => JsonValue.Create(name))]),
        }.ToJsonString(JsonLayout.Indented) + "\n");

    /// <summary>How the adapters of a folder come together, and their names in order: each has a folder of its own there.</summary>
    /// <param name="folder">The folder, with an <see cref="IndexFile"/>.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static (Together Together, IReadOnlyList<string> Names) ReadIndex(string folder)
    {
        var file = Path.Combine(folder, IndexFile);
        try
        {
            var content = JsonNode.Parse(File.ReadAllText(file));
            var names = content?["adapters"]?.AsArray().Select(node => node!.GetValue<string>()).ToList() ?? [];
            // A name leads into the folder and nowhere else.
            if (Enum.TryParse<Together>(content?["together"]?.GetValue<string>(), ignoreCase: true, out var together)
                && Enum.IsDefined(together) && names.Count > 0 && names.Distinct().Count() == names.Count
                && names.TrueForAll(name => name == Path.GetFileName(name) && name is not ("" or "." or "..")))
                return (together, names);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            // Said below, as for content that parses and says nothing.
        }
        throw new InputException($"{file} is damaged: it should hold {{\"together\": \"stack\", \"adapters\": [\"NAME\"]}}. Restore it, or "
            + "name one of the folders beside it.");
    }

    /// <summary>
    /// The names of a folder's adapters where each was trained on rows of its own; null where they come together otherwise, or there is
    /// one.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InputException">Its index is damaged.</exception>
    public static IReadOnlyList<string>? RoutedNames(string folder) =>
        File.Exists(Path.Combine(folder, IndexFile)) && ReadIndex(folder) is { Together: Together.Route } index ? index.Names : null;

    /// <summary>Detaches and frees them.</summary>
    public void Dispose()
    {
        mixture?.Dispose();
        // The last one came around those before it.
        foreach (var set in Enumerable.Reverse(sets)) set.Dispose();
        sets.Clear();
    }
}
