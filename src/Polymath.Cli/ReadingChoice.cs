using System.CommandLine;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>
/// The settings of a source's rows on the command line, as in a recipe; the same options for every verb that reads a source.
/// </summary>
internal sealed class ReadingChoice
{
    private readonly Option<DataShape> shape = new("--shape") { Description = "The shape of the rows; recognised when left out." };

    private readonly Option<FileFormat?> format = new("--format")
    {
        Description = "The format of the files, when their names do not show it: txt, jsonl, json, csv, parquet or arrow.",
    };

    private readonly Option<string[]> field = new("--field")
    {
        Description =
            "The column of a field of the shape, NAME=COLUMN, such as answer=reply or messages.role=speaker; may be given several times.",
    };

    private readonly Option<string[]> role = new("--role")
    {
        Description = "The role that a speaker's name stands for, NAME=ROLE, such as bot=assistant; may be given several times.",
    };

    private readonly Option<string[]> ignore = new("--ignore")
    {
        Description = "What is left out: columns, keys and roles of messages, and types of content, such as images.",
        AllowMultipleArgumentsPerToken = true,
    };

    internal void AddTo(Command command)
    {
        command.Add(shape);
        command.Add(format);
        command.Add(field);
        command.Add(role);
        command.Add(ignore);
    }

    /// <summary>The source in the form of a recipe's.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="source">Its files.</param>
    /// <exception cref="InputException">An option is not a pair of names.</exception>
    internal FilesSpec Read(ParseResult parsed, string source)
    {
        var fields = Pairs(parsed, field).ToDictionary(pair => pair.Key, pair => new FieldSpec(pair.Value));
        var roles = Pairs(parsed, role);
        var ignored = (parsed.GetValue(ignore) ?? []).SelectMany(Words.List).ToList();
        foreach (var meant in roles.Values.Where(meant => !ShapeFields.Roles.Contains(meant)))
            throw new InputException($"--role has '{meant}', which is not a role. {Nearest.Hint(meant, [.. ShapeFields.Roles], "roles")}.");
        foreach (var name in fields.Keys.Where(name => !ShapeFields.Names.Contains(name)))
            throw new InputException($"--field has '{name}', which no shape has. "
                + $"{Nearest.Hint(name, [.. ShapeFields.Names], "columns of shapes")}.");
        return new FilesSpec(
            [source],
            Format: parsed.GetValue(format),
            Fields: fields.Count > 0 ? fields : null,
            Shape: parsed.GetValue(shape),
            Roles: roles.Count > 0 ? roles : null,
            Ignore: ignored.Count > 0 ? ignored : null);
    }

    private static Dictionary<string, string> Pairs(ParseResult parsed, Option<string[]> option)
    {
        var pairs = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in parsed.GetValue(option) ?? [])
        {
            if (text.Split('=', 2) is not [{ Length: > 0 } name, { Length: > 0 } value])
                throw new InputException($"{option.Name} has '{text}'; write NAME=VALUE.");
            pairs[name] = value;
        }
        return pairs;
    }
}
