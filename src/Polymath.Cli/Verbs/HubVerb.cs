using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Text.Hubs;
using Spectre.Console;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath hub</c>: download, list, cache.</summary>
internal static class HubVerb
{
    internal static Command Make() =>
        new("hub", "Downloads from Hugging Face's hub and ModelScope's, and shows what is cached.") { Download(), List(), Cache() };

    private static Argument<string> Source() => new("source") { Description = "hf:ORG/NAME[@REVISION] for a model, a tokenizer or an "
        + "adapter, hf:datasets/ORG/NAME[@REVISION][/path] for data; or with modelscope: in front." };

    private static Option<bool> Json() => new("--json") { Description = "Prints one JSON object." };

    private static Command Download()
    {
        var source = Source();
        var files = new Option<string[]>("--files")
        {
            Description = "Paths or patterns of the files, such as \"*.json\"; the needed files when left out.",
            AllowMultipleArgumentsPerToken = true,
        };
        var to = new Option<string?>("--to") { Description = "A folder to copy the files into, in addition to the cache." };
        var command = new Command(
            "download",
            "Downloads a repository's files into the cache, and continues where it was stopped.") { source, files, to };
        var overwriting = new Overwriting();
        overwriting.AddTo(command);
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var address = HubAddress.ParseAny(parsed.GetRequiredValue(source));
            if (address.Path is not null && parsed.GetValue(files) is { Length: > 0 })
                throw new InputException("Files are named in the source and with --files. Name them in one place.");
            var usual = address.IsData ? HubSelection.Data(address.Path) : HubSelection.Whole;
            var wanted = parsed.GetValue(files) is { Length: > 0 } patterns ? HubSelection.Files(patterns) : usual;
            var snapshot = hubs.Show(parsed, hub => hub.Fetch(address, wanted));
            var folder = parsed.GetValue(to) is { } target
                ? Copy(snapshot, target, file => overwriting.OneFile(parsed, "--to", file))
                : snapshot.Folder;
            Console.WriteLine($"{address.Source} at {Short(snapshot.Commit)}: {snapshot.Files.Count} file(s)");
            Console.WriteLine(folder);
            return Outcome.Done;
        }));
        return command;
    }

    // Nothing is copied unless everything can be; an existing file with the same bytes is kept.
    private static string Copy(HubSnapshot snapshot, string target, Func<string, string> free)
    {
        var missing = snapshot.Files.Where(name => !IsSame(Path.Combine(snapshot.Folder, name), Path.Combine(target, name))).ToList();
        if (File.Exists(target)) throw new InputException($"--to {target} is a file; a folder is written. Name another place.");
        foreach (var name in missing) free(Path.Combine(target, name));
        foreach (var name in missing)
        {
            var parts = Path.Combine(name.Split('/'));
            using var content = File.OpenRead(Path.Combine(snapshot.Folder, parts));
            AtomicFile.Write(Path.Combine(target, parts), content.CopyTo);
        }
        return Path.GetFullPath(target);
    }

    private static bool IsSame(string one, string other)
    {
        if (!File.Exists(other)) return false;
        using FileStream left = File.OpenRead(one), right = File.OpenRead(other);
        return left.Length == right.Length && SHA256.HashData(left).AsSpan().SequenceEqual(SHA256.HashData(right));
    }

    private static Command List()
    {
        var source = Source();
        var json = Json();
        var command = new Command("list", "Shows a repository's files.") { source, json };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var address = HubAddress.ParseAny(parsed.GetRequiredValue(source));
            var listing = hubs.Show(parsed, hub => hub.List(address));
            var files = listing.Files.Where(file => address.Path is null || LocalFiles.Fits(address.Path, file.Path))
                .OrderBy(file => file.Path, StringComparer.Ordinal).ToList();
            if (parsed.GetValue(json))
            {
                Console.WriteLine(
                    JsonSerializer.Serialize(new { source = address.Source, commit = listing.Commit, files }, JsonLayout.RecordLine));
                return Outcome.Done;
            }
            var table = Wide.Table().AddColumn("file").AddColumn(new TableColumn("bytes").RightAligned()).AddColumn("digest");
            foreach (var file in files)
            {
                var digest = $"{(file.Sha256 is not null ? "sha256" : "git")} {file.Key[..Math.Min(16, file.Key.Length)]}";
                var size = file.Size < 0 ? "" : $"{file.Size:N0}";
                table.AddRow(Markup.Escape(file.Path), size, file.Key.Length == 0 ? "" : digest);
            }
            AnsiConsole.Write(table);
            Console.WriteLine($"{address.Source} at {listing.Commit}: {files.Count:N0} file(s), "
                + $"{files.Sum(file => Math.Max(0, file.Size)) / 1e6:N1} MB");
            return Outcome.Done;
        }));
        return command;
    }

    private static Command Cache()
    {
        var json = Json();
        var command = new Command("cache", "Shows what is cached, with sizes.") { json };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var settings = HubSettings.FromEnvironment();
            var cached = new Hub(settings).Cached();
            if (parsed.GetValue(json))
            {
                Console.WriteLine(JsonSerializer.Serialize(
                    new { huggingFace = settings.HuggingFace.Cache, modelScope = settings.ModelScope.Cache, repositories = cached },
                    JsonLayout.RecordLine));
                return Outcome.Done;
            }
            if (cached.Count > 0)
            {
                var table = Wide.Table().AddColumn("source").AddColumn("commits")
                    .AddColumn(new TableColumn("MB").RightAligned()).AddColumn(new TableColumn("incomplete, MB").RightAligned());
                foreach (var each in cached)
                    table.AddRow(
                        Markup.Escape(each.Source),
                        Markup.Escape(string.Join(", ", each.Revisions.Select(
                            pair => Short(pair.Key) + (pair.Value.Count > 0 ? $" ({string.Join(", ", pair.Value)})" : "")))),
                        $"{each.Bytes / 1e6:N1}",
                        each.IncompleteBytes > 0 ? $"{each.IncompleteBytes / 1e6:N1}" : "");
                AnsiConsole.Write(table);
            }
            Console.WriteLine($"{cached.Count} repositories, {cached.Sum(each => each.Bytes + each.IncompleteBytes) / 1e6:N1} MB in "
                + $"{settings.HuggingFace.Cache} and {settings.ModelScope.Cache}");
            return Outcome.Done;
        }));
        return command;
    }

    private static string Short(string commit) => commit.Length == 40 ? commit[..12] : commit;
}
